export { type Align, facts, table } from "@wattvox/core";
