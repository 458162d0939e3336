import { createHash } from "node:crypto";
import { type FileHandle, open, readFile, realpath } from "node:fs/promises";
import { basename, dirname, isAbsolute, join, relative, sep } from "node:path";
import { create, toBinary } from "@bufbuild/protobuf";
import { WattvoxError, writeAtomic } from "@wattvox/core";
import { bytesOf } from "./bytes.ts";
import { graphOf, parseModel, protoOf } from "./codec.ts";
import * as pb from "./gen/onnx_pb.ts";
import {
	DATA_CLASS,
	DTYPE_CODE,
	type DType,
	dtypeOf,
	type Graph,
	sizeOf,
} from "./types.ts";

/** Offsets in a data file are multiples of a page, so that it can be mapped. */
const PAGE = 4096;
/** Models up to this size keep their data inside; protobuf's own limit is 2 GiB. */
const INSIDE = 1 << 30;
const EXTERNAL = pb.TensorProto_DataLocation.EXTERNAL;

/**
 * Reads an ONNX model with the data that it keeps in files beside it.
 * @throws WattvoxError E_FILE_MISSING when the model is; E_MODEL when it is none, when its data is
 * missing, short or not what its checksum says, or lies outside the model's own folder
 */
export async function readModel(path: string): Promise<Graph> {
	const bytes = await readFile(path).catch((cause) => {
		throw cause.code === "ENOENT"
			? new WattvoxError("E_FILE_MISSING", `there is no ${path}`, { cause })
			: cause;
	});
	const model = parseModel(bytes);
	const folder = await realpath(dirname(path));
	const files = new Map<string, DataFile>();
	try {
		for (const tensor of model.graph ? tensorsOf(model.graph) : [])
			if (isExternal(tensor)) await bringIn(tensor, folder, files);
	} finally {
		for (const { handle } of files.values()) await handle.close();
	}
	return graphOf(model);
}

interface DataFile {
	handle: FileHandle;
	size: number;
	/** SHA-1 of the whole file, once asked for. */
	digest?: string;
}

const isExternal = (t: pb.TensorProto): boolean =>
	t.dataLocation === EXTERNAL || t.externalData.length > 0;

/** Every tensor of a graph: initialisers, and those in attributes and inner graphs. */
function* tensorsOf(graph: pb.GraphProto): Generator<pb.TensorProto> {
	yield* graph.initializer;
	for (const node of graph.node)
		for (const a of node.attribute) {
			if (a.t) yield a.t;
			yield* a.tensors;
			for (const g of a.g ? [a.g, ...a.graphs] : a.graphs) yield* tensorsOf(g);
		}
}

/** Replaces a tensor's reference by the bytes it refers to. */
async function bringIn(
	tensor: pb.TensorProto,
	folder: string,
	files: Map<string, DataFile>,
): Promise<void> {
	const bad = (why: string, cause?: unknown) =>
		new WattvoxError("E_MODEL", `the data of ${tensor.name}: ${why}`, {
			cause,
		});
	const about = Object.fromEntries(
		tensor.externalData.map(({ key, value }) => [key, value]),
	);
	const location = about.location ?? "";
	let file = files.get(location);
	if (!file) {
		const path = await inside(folder, location).catch((cause) => {
			throw cause instanceof WattvoxError
				? bad(cause.message)
				: bad(`cannot open ${location}`, cause);
		});
		const handle = await open(path, "r").catch((cause) => {
			throw bad(`cannot open ${location}`, cause);
		});
		file = { handle, size: (await handle.stat()).size };
		files.set(location, file);
	}
	const dtype = dtypeOf(tensor.dataType);
	if (!dtype) throw bad(`element type ${tensor.dataType} is not supported`);
	const needed =
		sizeOf(tensor.dims.map(Number)) * DATA_CLASS[dtype].BYTES_PER_ELEMENT;
	const offset = Number(about.offset ?? 0);
	const length = Number(about.length ?? needed);
	if (length !== needed || !(offset >= 0) || offset + length > file.size)
		throw bad(
			`${length} bytes at ${offset} of ${location}, which has ${file.size}; the shape needs ${needed}`,
		);
	if (about.checksum && about.checksum !== (await digestOf(file)))
		throw bad(`${location} is not what its checksum says`);
	const bytes = new Uint8Array(length);
	for (let at = 0; at < length; ) {
		const { bytesRead } = await file.handle.read(
			bytes,
			at,
			length - at,
			offset + at,
		);
		if (bytesRead === 0) throw bad(`${location} ends early`);
		at += bytesRead;
	}
	tensor.rawData = bytes;
	tensor.externalData = [];
	tensor.dataLocation = pb.TensorProto_DataLocation.DEFAULT;
}

/** The real path of a location, which a model from elsewhere must not lead out of its own folder. */
async function inside(folder: string, location: string): Promise<string> {
	const leaves = new WattvoxError(
		"E_MODEL",
		`${JSON.stringify(location)} leads out of the model's folder`,
	);
	const leadsOut = (path: string) =>
		path === "" ||
		path === ".." ||
		path.startsWith(`..${sep}`) ||
		isAbsolute(path);
	if (
		isAbsolute(location) ||
		leadsOut(relative(folder, join(folder, location)))
	)
		throw leaves;
	const path = await realpath(join(folder, location));
	// A link may lead out where the name does not.
	if (leadsOut(relative(folder, path))) throw leaves;
	return path;
}

async function digestOf(file: DataFile): Promise<string> {
	if (!file.digest) {
		const hash = createHash("sha1");
		const stream = file.handle.createReadStream({ autoClose: false, start: 0 });
		for await (const chunk of stream) hash.update(chunk);
		file.digest = hash.digest("hex");
	}
	return file.digest;
}

/** Settings of {@link writeModel}. */
export interface WriteModelOptions {
	/**
	 * Initialisers of at least so many bytes go to a file of their own, `<model>.data`. By default all
	 * stay inside while the model is below 1 GiB, and those from 1 KiB on go out above.
	 */
	externalFrom?: number;
}

/**
 * Writes an ONNX model, with large initialisers in a data file beside it where asked for or needed.
 * The data file comes first and the model carries its checksum: after a crash between the two, reading
 * fails rather than giving wrong weights.
 * @returns the files written
 * @throws WattvoxError E_OUTPUT, E_DISK_FULL
 */
export async function writeModel(
	path: string,
	graph: Graph,
	options: WriteModelOptions = {},
): Promise<string[]> {
	let total = 0;
	for (const { data } of graph.initializers.values()) total += data.byteLength;
	const from =
		options.externalFrom ?? (total < INSIDE ? Number.POSITIVE_INFINITY : 1024);
	const small = new Map(graph.initializers);
	const outside: { name: string; offset: number; bytes: Uint8Array }[] = [];
	let end = 0;
	for (const [name, { data }] of graph.initializers) {
		if (data.byteLength < from) continue;
		const offset = Math.ceil(end / PAGE) * PAGE;
		outside.push({ name, offset, bytes: bytesOf(data) });
		end = offset + data.byteLength;
		small.delete(name);
	}
	const model = protoOf({ ...graph, initializers: small });
	const written: string[] = [];
	if (outside.length > 0) {
		const location = `${basename(path)}.data`;
		const chunks = [...pieces(outside)];
		const hash = createHash("sha1");
		for (const chunk of chunks) hash.update(chunk);
		const checksum = hash.digest("hex");
		const file = join(dirname(path), location);
		await writeAtomic(file, chunks);
		written.push(file);
		for (const { name, offset, bytes } of outside) {
			const { dims = [], dtype = "float32" } =
				graph.initializers.get(name) ?? {};
			model.graph?.initializer.push(
				reference(name, dtype, dims, {
					location,
					offset: String(offset),
					length: String(bytes.length),
					checksum,
				}),
			);
		}
	}
	await writeAtomic(path, toBinary(pb.ModelProtoSchema, model));
	return [...written, path];
}

/** The data file's content, with the gaps between pages filled. */
function* pieces(
	parts: readonly { offset: number; bytes: Uint8Array }[],
): Generator<Uint8Array> {
	let at = 0;
	for (const { offset, bytes } of parts) {
		if (offset > at) yield new Uint8Array(offset - at);
		yield bytes;
		at = offset + bytes.length;
	}
}

function reference(
	name: string,
	dtype: DType,
	dims: readonly number[],
	about: Record<string, string>,
): pb.TensorProto {
	return create(pb.TensorProtoSchema, {
		name,
		dims: dims.map(BigInt),
		dataType: DTYPE_CODE[dtype],
		dataLocation: EXTERNAL,
		externalData: Object.entries(about).map(([key, value]) =>
			create(pb.StringStringEntryProtoSchema, { key, value }),
		),
	});
}
