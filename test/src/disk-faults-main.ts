// Runs the faults of the disk, or one part of them, and prints what was found; a process of its own, so
// that the code under test can be a mutant of it (see mutant.ts).
import { diskFaults, type Part } from "./disk-faults.ts";

const found = await diskFaults(process.argv[2] as Part | undefined);
process.stdout.write(`${JSON.stringify(found)}\n`);
process.exitCode = found.violations.length > 0 ? 1 : 0;
