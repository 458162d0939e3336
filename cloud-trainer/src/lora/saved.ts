import { WattvoxError } from "@wattvox/core";
import { castFloat, type Graph, type Tensor } from "@wattvox/onnx";
import type { AttachOptions } from "./attach.ts";
import { turned } from "./pair.ts";
import { type Adapter, savedParameters } from "./peft.ts";
import { findSites } from "./sites.ts";
import { someOf } from "./targets.ts";

/**
 * A graph with the parameters that an adapter brings whole (PEFT's `modules_to_save`) in place of its
 * own. A parameter is found as the initialiser of its path (`classifier.bias`), or of its module where
 * an initialiser is a module of its own; a weight also as that of the module's site, in the site's layout.
 * @throws WattvoxError E_MODEL for a parameter that the graph lacks, and for a shape that does not fit
 */
export function withSaved(
	graph: Graph,
	adapter: Adapter,
	o: AttachOptions = {},
): Graph {
	const saved = savedParameters(adapter);
	if (saved.size === 0) return graph;
	const initializers = new Map(graph.initializers);
	const sites = findSites(graph, o.modules);
	const missing: string[] = [];
	for (const [path, tensor] of saved) {
		const module = path.replace(/\.weight$/, "");
		const own = [path, module].find((name) => initializers.has(name));
		const site = sites.find((s) => s.module === module);
		const name = own ?? site?.weight;
		if (!name) {
			missing.push(path);
			continue;
		}
		const straight =
			own ||
			site?.transposed ||
			/conv/.test(site?.kind ?? "") ||
			site?.kind === "embedding";
		replace(
			initializers,
			name,
			straight ? tensor : turned(castFloat(tensor, "float32")),
		);
	}
	if (missing.length && !o.partial)
		throw new WattvoxError(
			"E_MODEL",
			`the model has no ${someOf(missing)} that the adapter brings`,
		);
	return { ...graph, initializers };
}

function replace(
	initializers: Map<string, Tensor>,
	name: string,
	tensor: Tensor,
): void {
	const old = initializers.get(name) as Tensor;
	if (String(old.dims) !== String(tensor.dims))
		throw new WattvoxError(
			"E_MODEL",
			`the adapter's ${name} is [${tensor.dims}]; the model's is [${old.dims}]`,
		);
	initializers.set(name, castFloat(tensor, old.dtype as "float32"));
}
