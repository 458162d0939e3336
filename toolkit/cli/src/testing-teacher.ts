// A speech server for tests, in the shapes that teachers have, with a Debian synthesiser behind it.
import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { createServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";

const execute = promisify(execFile);

/** Whether a program is there. */
export const installed = (program: string): Promise<boolean> =>
	execute(program, ["--version"]).then(
		() => true,
		(thrown: NodeJS.ErrnoException) => thrown.code !== "ENOENT",
	);

/** A wav of `text`: flite at 16 kHz, espeak-ng at 22.05 kHz with a header for pipes. */
export async function speak(
	program: "flite" | "espeak-ng",
	text: string,
): Promise<Buffer> {
	if (program === "espeak-ng") {
		const { stdout } = await execute(
			program,
			["-v", "en-us", "--stdout", "--", text],
			{ encoding: "buffer", maxBuffer: 1 << 26 },
		);
		return stdout;
	}
	const dir = await mkdtemp(join(tmpdir(), "wattvox-flite-"));
	try {
		const out = join(dir, "a.wav");
		await execute(program, ["-voice", "slt", "-t", text, "-o", out]);
		return await readFile(out);
	} finally {
		await rm(dir, { recursive: true, force: true });
	}
}

/** One request as the server has read it. */
export interface TeacherRequest {
	path: string;
	authorization: string | undefined;
	fields: Record<string, unknown>;
	/** From 0, over all requests. */
	count: number;
}

/**
 * Serves `/tts` as GPT-SoVITS does (400 and a message without text or reference) and
 * `/v1/audio/speech` as OpenAI does, until the test ends.
 * @param meddle may answer in the server's place; true: it did
 */
export async function teacherServer(
	t: { teardown(fn: () => void): void },
	program: "flite" | "espeak-ng",
	meddle: (
		asked: TeacherRequest,
		res: ServerResponse,
	) => boolean | Promise<boolean> = () => false,
): Promise<{ base: string; asked: TeacherRequest[] }> {
	const asked: TeacherRequest[] = [];
	const refuse = (res: ServerResponse, message: string) =>
		res.writeHead(400).end(JSON.stringify({ message }));
	const answer = async (one: TeacherRequest, res: ServerResponse) => {
		if (await meddle(one, res)) return;
		const { fields, path } = one;
		const text = path === "/tts" ? fields.text : fields.input;
		if (path === "/tts" && !fields.ref_audio_path)
			return refuse(res, "ref_audio_path is required");
		if (typeof text !== "string" || !text)
			return refuse(res, "text is required");
		res.setHeader("content-type", "audio/wav");
		res.end(await speak(program, text));
	};
	const server = createServer((req, res) => {
		const parts: Buffer[] = [];
		req.on("data", (part) => parts.push(part));
		req.on("end", () => {
			const one: TeacherRequest = {
				path: req.url ?? "",
				authorization: req.headers.authorization,
				fields: JSON.parse(Buffer.concat(parts).toString("utf8")),
				count: asked.length,
			};
			asked.push(one);
			answer(one, res).catch((thrown) => {
				if (!res.headersSent) res.writeHead(500);
				res.end(String(thrown));
			});
		});
	});
	await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
	t.teardown(() => {
		server.closeAllConnections();
		server.close();
	});
	const { port } = server.address() as AddressInfo;
	return { base: `http://127.0.0.1:${port}`, asked };
}
