import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { MANIFEST, parseManifest, type Role } from "@wattvox/bundle";
import { asWattvoxError, WattvoxError } from "@wattvox/core";
import { parseVoiceConfig, type VoiceConfig } from "./voice-config.ts";

/** A voice's files in memory. */
export interface VoiceFiles {
	config: VoiceConfig;
	/** ONNX: phones, speaker -> content, log_duration. */
	text: Uint8Array;
	/** ONNX: content, position, speaker, noise -> wave. */
	decoder: Uint8Array;
	/** safetensors in PEFT's layout; present when the config names an adapter. */
	adapter?: Uint8Array;
}

/** File names in a folder without a manifest. */
const USUAL = {
	voice: "voice.json",
	text: "text.onnx",
	decoder: "decoder.onnx",
} as const;

/**
 * Reads the files of a voice folder: by role where it has a manifest, else by their usual names.
 * Trust is not looked at here: whoever cares opens the bundle first (`openBundle`).
 * @throws WattvoxError E_FILE_MISSING, E_FILE_FORMAT
 */
export async function readVoiceFiles(dir: string): Promise<VoiceFiles> {
	const names = await namesByRole(dir);
	const name = (role: keyof typeof USUAL) =>
		names.get(role)?.[0] ?? USUAL[role];
	const config = parseVoiceConfig(await read(dir, name("voice")));
	const [text, decoder] = await Promise.all([
		read(dir, name("text")),
		read(dir, name("decoder")),
	]);
	const files: VoiceFiles = { config, text, decoder };
	if (config.adapter) files.adapter = await read(dir, config.adapter.file);
	return files;
}

async function namesByRole(dir: string): Promise<Map<Role, string[]>> {
	const names = new Map<Role, string[]>();
	let bytes: Uint8Array;
	try {
		bytes = await read(dir, MANIFEST);
	} catch (thrown) {
		if (asWattvoxError(thrown).code === "E_FILE_MISSING") return names;
		throw thrown;
	}
	for (const { role, name } of parseManifest(bytes).files)
		names.set(role, [...(names.get(role) ?? []), name]);
	return names;
}

async function read(dir: string, name: string): Promise<Uint8Array> {
	// A name out of voice.json must not lead out of the folder.
	if (/[/\\]/.test(name) || name.startsWith("."))
		throw new WattvoxError("E_FILE_FORMAT", `"${name}" is not a file name`);
	try {
		const bytes = await readFile(join(dir, name));
		// Whole buffers can be moved to a thread; a small file may share Node's pool.
		return bytes.byteLength === bytes.buffer.byteLength
			? bytes
			: Uint8Array.from(bytes);
	} catch (thrown) {
		const { code, message } = asWattvoxError(thrown);
		throw new WattvoxError(
			code === "E_FILE_MISSING" ? code : "E_FILE_FORMAT",
			`cannot read ${name} of the voice in ${dir}: ${message}`,
			{ cause: thrown },
		);
	}
}
