export { Agent } from "./agent.ts";
export {
	type Diagnosis,
	type DoctorOptions,
	diagnose,
	type Finding,
	formatDiagnosis,
	writeDiagnosis,
} from "./doctor.ts";
export { type EngineFlags, engineSettings } from "./engine-flags.ts";
export { parseLimits } from "./limits.ts";
export type { AgentOptions } from "./options.ts";
export {
	DEADLINES,
	plan,
	type Reason,
	type Rejected,
	type Step,
	type View,
} from "./planner.ts";
export type { Active } from "./pointer.ts";
export { report, type Seen, type Situation } from "./report.ts";
export type { AgentStatus } from "./reporter.ts";
export { formatStatus, readStatus, type WrittenStatus } from "./status.ts";
