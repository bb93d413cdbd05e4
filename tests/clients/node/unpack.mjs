// Unpacks the browser that a package of the registry carries: `unpack.mjs FROM TO`.
import { chmodSync, createReadStream, createWriteStream } from "node:fs";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { createBrotliDecompress } from "node:zlib";

const [from, to] = process.argv.slice(2);

async function unpack(name, as) {
  const place = join(to, as);
  await pipeline(
    createReadStream(join(from, name)),
    createBrotliDecompress(),
    createWriteStream(place),
  );
  return place;
}

chmodSync(await unpack("chromium.br", "chromium"), 0o755);
await unpack("al2023.tar.br", "lib.tar");
