// The client's side of the line: acts are asked for in JSON, one a line, and answered so.
import { createInterface } from "node:readline";

export async function serve(acts, isOwnError, asSeen) {
  for await (const line of createInterface({ input: process.stdin })) {
    process.stdout.write(JSON.stringify(await answer(JSON.parse(line))) + "\n");
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
