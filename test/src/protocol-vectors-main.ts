import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { writeAtomic } from "@wattvox/core";
import { vectors, writeVectors } from "./protocol-vectors.ts";

// `npm run vectors`: writes docs/protocol/VECTORS.md anew. What changes there changes the protocol.
const page = fileURLToPath(
	new URL("../../docs/protocol/VECTORS.md", import.meta.url),
);
await writeAtomic(page, writeVectors(await readFile(page, "utf8"), vectors()));
