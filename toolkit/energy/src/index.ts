export { SpeechAccount, type SpeechTotals } from "./account.ts";
export * from "./attestation.ts";
export { parseSeries, tablePoints } from "./carbon/csv.ts";
export * from "./carbon/open.ts";
export { pricedCarbon } from "./carbon/priced.ts";
export * from "./carbon/source.ts";
export { type Intensity, weightedIntensity } from "./carbon/weighted.ts";
export { processCpuClock } from "./cpu-time.ts";
export { type EstimateOptions, EstimateSource } from "./estimate.ts";
export { findProgram } from "./find-program.ts";
export {
	between,
	type Energy,
	type IntegrationLimits,
	type Integrator,
	integrateCounter,
	integratePower,
	type MeterPoint,
} from "./integrate.ts";
export {
	type BoardFacts,
	boardWords,
	hottest,
	readBoard,
} from "./jetson/board.ts";
export { openIna3221 } from "./jetson/ina3221.ts";
export { openTegrastats } from "./jetson/tegrastats.ts";
export {
	parseTegrastats,
	type TegrastatsLine,
} from "./jetson/tegrastats-line.ts";
export { Ledger, type LedgerOptions, type Stage } from "./ledger.ts";
export {
	CODECARBON_COLUMNS,
	type CsvOptions,
	ledgerCsv,
} from "./ledger-csv.ts";
export { type LedgerLine, readLedger } from "./ledger-file.ts";
export { type PowerStep, powerSteps } from "./ledger-power.ts";
export { readSpans, type Spans } from "./ledger-spans.ts";
export {
	type Cost,
	type LapRow,
	type LedgerSummary,
	type StageRow,
	type StageStatus,
	summarise,
	type UtteranceRow,
} from "./ledger-summary.ts";
export { formatDetail, formatEnergy, formatLedger } from "./ledger-table.ts";
export { Meter, type MeterOptions } from "./meter.ts";
export { openNvidiaSmi } from "./nvidia/nvidia-smi.ts";
export { type GpuTelemetry, type NvmlSource, openNvml } from "./nvidia/nvml.ts";
export {
	type OpenedPower,
	type OpenPowerOptions,
	openPowerSource,
} from "./open.ts";
export * from "./passport.ts";
export { openRapl } from "./rapl.ts";
export type { Figure } from "./ratio.ts";
export * from "./source.ts";
export * from "./speech-figure.ts";
export { sumOf } from "./sum.ts";
export { bar, powerChart } from "./terminal-chart.ts";
export {
	measureSpeech,
	type Speak,
	type SpeechMeasurement,
	WORKLOAD_SENTENCES,
	type WorkloadOptions,
} from "./workload.ts";
