import type { Command } from "../command.ts";
import { agentRun } from "./agent-run.ts";
import { agentStatus } from "./agent-status.ts";
import { demo } from "./demo.ts";
import { distilCommand } from "./distil.ts";
import { doctor } from "./doctor.ts";
import { energyAttest } from "./energy-attest.ts";
import { energyReport } from "./energy-report.ts";
import { engineBuild } from "./engine-build.ts";
import { engineImport } from "./engine-import.ts";
import { engineList } from "./engine-list.ts";
import { engineShim } from "./engine-shim.ts";
import { engineSign } from "./engine-sign.ts";
import { exportCommand } from "./export.ts";
import { fitCommand } from "./fit.ts";
import { fleetPassword } from "./fleet-password.ts";
import { fleetPower } from "./fleet-power.ts";
import { fleetServe } from "./fleet-serve.ts";
import { fleetUtterances } from "./fleet-utterances.ts";
import { grad } from "./grad.ts";
import { grow } from "./grow.ts";
import { inspect } from "./inspect.ts";
import { job } from "./job.ts";
import { keysAcl } from "./keys-acl.ts";
import { keysNew } from "./keys-new.ts";
import { keysRotate } from "./keys-rotate.ts";
import { loraExtract } from "./lora-extract.ts";
import { loraInject } from "./lora-inject.ts";
import { loraMerge } from "./lora-merge.ts";
import { pretrainCommand } from "./pretrain.ts";
import { publish } from "./publish.ts";
import {
	rolloutAbort,
	rolloutPause,
	rolloutResume,
	rolloutStatus,
} from "./rollout-orders.ts";
import { rolloutStart } from "./rollout-start.ts";
import { say } from "./say.ts";
import { storeList } from "./store-list.ts";
import { storeRemove } from "./store-remove.ts";
import { train } from "./train.ts";

/** Every command, in the order in which `--help` lists them. */
export const commands: readonly Command[] = [
	demo,
	train,
	distilCommand,
	exportCommand,
	pretrainCommand,
	fitCommand,
	loraInject,
	loraMerge,
	loraExtract,
	job,
	say,
	inspect,
	grad,
	grow,
	publish,
	storeList,
	storeRemove,
	agentRun,
	agentStatus,
	engineShim,
	engineBuild,
	engineList,
	engineSign,
	engineImport,
	rolloutStart,
	rolloutStatus,
	rolloutPause,
	rolloutResume,
	rolloutAbort,
	fleetServe,
	fleetPower,
	fleetUtterances,
	energyReport,
	energyAttest,
	fleetPassword,
	keysNew,
	keysRotate,
	keysAcl,
	doctor,
];

/** First words that several commands share. */
export const groups: Readonly<Record<string, string>> = {
	agent: "The agent on a device",
	energy: "What training and speaking cost",
	engine: "TensorRT engines on a device",
	fleet: "The fleet's server and its power bill",
	keys: "Signing keys",
	rollout: "Bundles to a fleet, in waves",
	store: "What a store holds",
	lora: "Low-rank adapters of any ONNX model",
};
