import { clone, create } from "@bufbuild/protobuf";
import { WattvoxError } from "@wattvox/core";
import * as pb from "./gen/onnx_pb.ts";

/** Functions may call functions, but not themselves: deeper than this one does. */
const DEEPEST = 64;

const domainOf = (name: string): string => (name === "ai.onnx" ? "" : name);
const keyOf = (domain: string, name: string): string =>
	JSON.stringify([domainOf(domain), name]);

/**
 * Replaces every call of a function that the model itself defines by the function's nodes, in place.
 * Inner values are named after the call.
 * @throws WattvoxError E_MODEL when a function calls itself, is written for another opset than the
 * model's, has a default for an attribute, or shares its name with another
 */
export function inlineFunctions(model: pb.ModelProto): void {
	if (!model.functions.length || !model.graph) return;
	new Inliner(model).graph(model.graph);
	model.functions = [];
}

class Inliner {
	readonly #model: pb.ModelProto;
	readonly #functions: Map<string, pb.FunctionProto>;
	#calls = 0;

	constructor(model: pb.ModelProto) {
		this.#model = model;
		this.#functions = new Map(
			model.functions.map((f) => [keyOf(f.domain, f.name), f]),
		);
		if (this.#functions.size < model.functions.length)
			throw new WattvoxError(
				"E_MODEL",
				"the model defines two functions of one name, which is not supported",
			);
	}

	graph(graph: pb.GraphProto, depth = 0): void {
		graph.node = this.#expand(graph.node, depth);
	}

	#expand(nodes: readonly pb.NodeProto[], depth: number): pb.NodeProto[] {
		return nodes.flatMap((node) => {
			for (const a of node.attribute)
				for (const g of a.g ? [a.g, ...a.graphs] : a.graphs)
					this.graph(g, depth);
			const f = this.#functions.get(keyOf(node.domain, node.opType));
			if (!f) return [node];
			if (depth > DEEPEST)
				throw new WattvoxError(
					"E_MODEL",
					`the function ${f.name} calls itself`,
				);
			return this.#expand(this.#body(f, node), depth + 1);
		});
	}

	/** The nodes of one call. */
	#body(f: pb.FunctionProto, call: pb.NodeProto): pb.NodeProto[] {
		this.#checkOpsets(f);
		const prefix = `${call.name || f.name}#${this.#calls++}/`;
		const names = new Map<string, string>();
		f.input.forEach((name, i) => {
			names.set(name, call.input[i] ?? "");
		});
		// An output that is an input as it came needs a node of its own.
		const passed: pb.NodeProto[] = [];
		f.output.forEach((name, i) => {
			const wanted = call.output[i] || `${prefix}${name}`;
			if (!names.has(name)) names.set(name, wanted);
			else
				passed.push(
					create(pb.NodeProtoSchema, {
						opType: "Identity",
						name: `${prefix}${name}`,
						input: [names.get(name) ?? ""],
						output: [wanted],
					}),
				);
		});
		const given = new Map(call.attribute.map((a) => [a.name, a]));
		const attribute = (name: string): pb.AttributeProto | undefined => {
			const value = given.get(name);
			if (!value && !f.attribute.includes(name))
				throw new WattvoxError(
					"E_MODEL",
					`the function ${f.name} has a default for ${name}, which is not supported: give it where ${call.name || f.name} calls`,
				);
			return value;
		};
		const nodes = f.node.map((n) => clone(pb.NodeProtoSchema, n));
		for (const node of nodes) rewrite(node, prefix, names, attribute);
		return [...nodes, ...passed];
	}

	#checkOpsets(f: pb.FunctionProto): void {
		for (const { domain, version } of f.opsetImport) {
			const known = this.#model.opsetImport.find(
				(o) => domainOf(o.domain) === domainOf(domain),
			);
			if (!known)
				this.#model.opsetImport.push(
					create(pb.OperatorSetIdProtoSchema, { domain, version }),
				);
			else if (known.version !== version)
				throw new WattvoxError(
					"E_MODEL",
					`the function ${f.name} is written for opset ${version} of "${domain}", the model for ${known.version}`,
				);
		}
	}
}

/** Gives a node of a body the names around its call, and the attributes that the call gives. */
function rewrite(
	node: pb.NodeProto,
	prefix: string,
	names: Map<string, string>,
	attribute: (name: string) => pb.AttributeProto | undefined,
): void {
	const own = (name: string): string => {
		if (!name) return "";
		const known = names.get(name);
		if (known !== undefined) return known;
		names.set(name, `${prefix}${name}`);
		return `${prefix}${name}`;
	};
	node.name = `${prefix}${node.name || node.opType}`;
	node.input = node.input.map(own);
	node.output = node.output.map(own);
	// An attribute that the call leaves out is left out here too.
	node.attribute = node.attribute.flatMap((a) => {
		if (!a.refAttrName) return [a];
		const value = attribute(a.refAttrName);
		if (!value) return [];
		return [
			Object.assign(clone(pb.AttributeProtoSchema, value), { name: a.name }),
		];
	});
	for (const a of node.attribute)
		for (const g of a.g ? [a.g, ...a.graphs] : a.graphs) {
			for (const v of [...g.input, ...g.output, ...g.valueInfo])
				v.name = own(v.name);
			for (const t of g.initializer) t.name = own(t.name);
			for (const inner of g.node) rewrite(inner, prefix, names, attribute);
		}
}
