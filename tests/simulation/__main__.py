"""Runs seeds of the simulation, shared among processes, and tells which of them failed."""

from __future__ import annotations

# Locks of the house are to be those of greenlets, as they are in a worker: first of all.
from gevent import monkey

monkey.patch_thread()
monkey.patch_queue()

import argparse  # noqa: E402
import gc  # noqa: E402
import json  # noqa: E402
import logging  # noqa: E402
import os  # noqa: E402
import subprocess  # noqa: E402
import sys  # noqa: E402
import time  # noqa: E402
from collections import Counter  # noqa: E402
from hashlib import sha256  # noqa: E402
from typing import TYPE_CHECKING  # noqa: E402

from tests.simulation.bugs import BUGS  # noqa: E402
from tests.simulation.run import AS_BUILT, STEPS, simulate  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.simulation.run import Outcome

TELL_EVERY_S = 10.0
TRACE_LINES = 40
# A run leaves little behind that only the collector finds; it is looked for once in a while.
GARBAGE_MAX = 100_000


def main(arguments: Sequence[str]) -> int:
    options = _parser().parse_args(arguments)
    logging.disable()
    gc.freeze()
    gc.set_threshold(GARBAGE_MAX)
    if options.seed is not None:
        return _one(options)
    if options.jobs == 1:
        return _many(options)
    return _shared(options)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.simulation",
        description="Simulate the whole money path: a run is a function of its seed alone.",
    )
    add = parser.add_argument
    add("--seed", type=int, help="run this seed only, and tell how it went")
    add("--trace", action="store_true", help="with --seed: show every step")
    add("--seeds", type=int, default=300, help="how many seeds to run (default: 300)")
    add("--first", type=int, default=1, help="the first of them (default: 1)")
    add("--steps", type=int, default=STEPS, help=f"wild steps in each (default: {STEPS})")
    add("--jobs", type=int, default=os.cpu_count(), help="processes (default: the cores)")
    add("--bug", choices=sorted(BUGS), help="plant this bug first; it is to be found")
    add("--keep-going", action="store_true", help="go on after a seed has failed")
    return parser


def _run(seed: int, options: argparse.Namespace) -> Outcome:
    return simulate(seed, steps=options.steps, parts=BUGS.get(options.bug, AS_BUILT))


def _one(options: argparse.Namespace) -> int:
    outcome = _run(options.seed, options)
    if options.trace:
        _say("\n".join(outcome.trace))
    digest = sha256("\n".join(outcome.trace).encode()).hexdigest()[:16]
    _say(f"seed {outcome.seed}: {outcome.steps} steps, trace {digest}")
    _say(" ".join(f"{name}={count}" for name, count in outcome.counts.items()))
    return _verdict(outcome, options)


def _many(options: argparse.Namespace) -> int:
    """Run seeds one after the other; the last line is the sum of what was seen."""
    counts: Counter[str] = Counter()
    failed, begun_s = 0, time.monotonic()
    for done, seed in enumerate(range(options.first, options.first + options.seeds), 1):
        outcome = _run(seed, options)
        counts.update(outcome.counts, steps=outcome.steps)
        if outcome.found:
            failed += 1
            _verdict(outcome, options)
            if not options.keep_going:
                break
        if time.monotonic() - begun_s > TELL_EVERY_S:
            begun_s = time.monotonic()
            sys.stderr.write(f"{done} of {options.seeds} seeds\n")
    _say(json.dumps({"seeds": done, "failed": failed, "cpu_s": time.process_time(), **counts}))
    return 1 if failed else 0


def _shared(options: argparse.Namespace) -> int:
    """Share the seeds among processes, and add up what they have seen."""
    begun_s = time.monotonic()
    shares = [options.seeds // options.jobs] * options.jobs
    shares[-1] += options.seeds % options.jobs
    firsts = [options.first + sum(shares[:place]) for place in range(options.jobs)]
    processes = [
        subprocess.Popen(_command(options, first, share), stdout=subprocess.PIPE, text=True)
        for first, share in zip(firsts, shares, strict=True)
        if share
    ]
    totals: Counter[str] = Counter()
    for process in processes:
        output, _ = process.communicate()
        *told, last = output.splitlines() or [f"{process.args!r} said nothing"]
        if told:
            _say("\n".join(told))
        try:
            totals.update(json.loads(last))
        except ValueError:
            _say(last)
    seeds, failed, cpu_s = (totals.pop(name, 0) for name in ("seeds", "failed", "cpu_s"))
    took_s = time.monotonic() - begun_s
    _say(" ".join(f"{name}={count}" for name, count in sorted(totals.items())))
    _say(f"{seeds} seeds, {failed} failed, in {took_s:.0f} s ({cpu_s:.0f} s of CPU)")
    return 1 if failed or any(process.returncode for process in processes) else 0


def _command(options: argparse.Namespace, first: int, share: int) -> list[str]:
    command = [sys.executable, "-m", "tests.simulation", "--jobs", "1"]
    command += ["--first", str(first), "--seeds", str(share), "--steps", str(options.steps)]
    command += ["--bug", options.bug] if options.bug else []
    return [*command, "--keep-going"] if options.keep_going else command


def _verdict(outcome: Outcome, options: argparse.Namespace) -> int:
    if not outcome.found:
        return 0
    again = f"python -m tests.simulation --seed {outcome.seed} --steps {options.steps} --trace"
    again += f" --bug {options.bug}" if options.bug else ""
    if not options.trace:
        _say("\n".join(outcome.trace[-TRACE_LINES:]))
    _say(f"VIOLATED at seed {outcome.seed}, step {outcome.steps}: {outcome.found}")
    _say(f"again: {again}")
    return 1


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
