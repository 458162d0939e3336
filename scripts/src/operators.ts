import { fileURLToPath } from "node:url";
import { operatorsPage } from "@wattvox/cloud-trainer";
import { writeAtomic } from "@wattvox/core";

// Writes docs/OPERATORS.md from the rules: `npm run operators`.
const page = fileURLToPath(new URL("../../docs/OPERATORS.md", import.meta.url));
await writeAtomic(page, operatorsPage());
