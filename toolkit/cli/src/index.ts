export { type Command, command, type Io } from "./command.ts";
export { commands, groups } from "./commands/index.ts";
export { type Host, run } from "./run.ts";
