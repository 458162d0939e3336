export { Agent, type AgentOptions } from "./agent.ts";
export {
	type Active,
	DEADLINES,
	plan,
	type Reason,
	type Rejected,
	type Step,
	type View,
} from "./planner.ts";
export { report, type Seen, type Situation } from "./report.ts";
export type { AgentStatus } from "./reporter.ts";
export { formatStatus, readStatus, type WrittenStatus } from "./status.ts";
