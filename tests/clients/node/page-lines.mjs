// The same as lines.mjs for a program in a page: it asks its own server what to do.
export async function serve(acts, isOwnError, asSeen) {
  for (;;) {
    const asked = await fetch("/act");
    if (asked.status !== 200) continue;
    const line = await asked.json();
    if (line === null) return;
    await fetch("/answer", { method: "POST", body: JSON.stringify(await answer(line)) });
  }

  async function answer({ act, given }) {
    try {
      return await acts[act](given);
    } catch (error) {
      if (isOwnError(error)) return { raised: asSeen(error) };
      return { failed: String(error?.stack ?? error) };
    }
  }
}
