/** A back-off n-gram model as a trie in breadth-first arrays; node 0 is the root (the empty history). */
export interface NgramModel {
	order: number;
	/** Nodes by length of n-gram, 1 to order, sorted by symbols. */
	levels: {
		symbol: number[];
		p: number[];
		backoff: number[];
		children: number[];
	}[];
}

interface Node {
	symbol: number;
	parent: number;
	/** The n-gram without its first symbol. */
	suffix: number;
	depth: number;
	count: number;
	/** Distinct symbols seen before this n-gram (Kneser-Ney's count for lower orders). */
	left: number;
	children: Map<number, number>;
	p: number;
	backoff: number;
	kept: boolean;
}

/**
 * Interpolated modified Kneser-Ney (Chen and Goodman 1998) over symbol sequences that start with BOS (0) and
 * end with EOS (1), pruned by the entropy each n-gram adds (Stolcke 1998).
 * @param threshold an n-gram stays when count * |ln p - ln p without it| is above it, or it has children.
 */
export function trainNgram(
	sequences: readonly (readonly number[])[],
	order: number,
	symbols: number,
	threshold: number,
): NgramModel {
	const nodes = count(sequences, order, symbols);
	smooth(nodes, order, symbols);
	prune(nodes, order, threshold);
	return toLevels(nodes, order);
}

function makeNode(
	symbol: number,
	parent: number,
	suffix: number,
	depth: number,
): Node {
	const children = new Map<number, number>();
	return {
		symbol,
		parent,
		suffix,
		depth,
		count: 0,
		left: 0,
		children,
		p: 0,
		backoff: 1,
		kept: true,
	};
}

function count(
	sequences: readonly (readonly number[])[],
	order: number,
	symbols: number,
): Node[] {
	const nodes: Node[] = [makeNode(-1, -1, -1, 0)];
	const root = nodes[0] as Node;
	const childOf = (id: number, symbol: number): number => {
		const node = nodes[id] as Node;
		let child = node.children.get(symbol);
		if (child === undefined) {
			child = nodes.length;
			node.children.set(symbol, child);
			const made = makeNode(symbol, id, -1, node.depth + 1);
			nodes.push(made);
			made.suffix = node.depth === 0 ? 0 : childOf(node.suffix, symbol);
			(nodes[made.suffix] as Node).left++;
		}
		return child;
	};
	for (let s = 0; s < symbols; s++) childOf(0, s); // every symbol has a unigram
	root.left = 0;
	for (const sequence of sequences)
		for (let start = 0; start < sequence.length; start++) {
			let id = 0;
			for (let k = 0; k < order && start + k < sequence.length; k++) {
				id = childOf(id, sequence[start + k] as number);
				(nodes[id] as Node).count++;
			}
		}
	return nodes;
}

/** The count that the estimate uses: raw at the highest order and after BOS, distinct left contexts below. */
function effective(nodes: Node[], id: number, order: number): number {
	const node = nodes[id] as Node;
	if (node.depth === order) return node.count;
	let first = node;
	while (first.depth > 1) first = nodes[first.parent] as Node;
	return first.symbol === 0 ? node.count : node.left;
}

function smooth(nodes: Node[], order: number, symbols: number): void {
	const counts = nodes.map((_, id) =>
		id === 0 ? 0 : effective(nodes, id, order),
	);
	const discounts = Array.from({ length: order + 1 }, (_, depth) => {
		const n = [0, 0, 0, 0, 0];
		for (const [id, node] of nodes.entries())
			if (node.depth === depth) {
				const c = counts[id] as number;
				if (c >= 1 && c <= 4) n[c] = (n[c] as number) + 1;
			}
		const [, n1 = 0, n2 = 0, n3 = 0, n4 = 0] = n;
		const y = n1 / (n1 + 2 * n2);
		const d = [
			0,
			1 - (2 * y * n2) / n1,
			2 - (3 * y * n3) / n2,
			3 - (4 * y * n4) / n3,
		];
		// With few n-grams (the unigrams) the estimate may leave its range, and probabilities turn negative.
		const sound = d.every((v, c) => v >= 0 && v <= c);
		return sound ? d : [0, 0.5, 0.75, 0.9];
	});
	// Parents come before children in `nodes` at each depth only if visited by depth.
	const byDepth = [...nodes.keys()].sort(
		(a, b) => (nodes[a] as Node).depth - (nodes[b] as Node).depth,
	);
	for (const id of byDepth) {
		const node = nodes[id] as Node;
		if (node.children.size === 0) continue;
		const d = discounts[node.depth + 1] as number[];
		let total = 0;
		let freed = 0;
		for (const child of node.children.values()) {
			const c = counts[child] as number;
			total += c;
			freed += Math.min(c, d[Math.min(c, 3)] as number);
		}
		node.backoff = total > 0 ? freed / total : 1;
		for (const child of node.children.values()) {
			const c = counts[child] as number;
			const own =
				total > 0 ? Math.max(0, c - (d[Math.min(c, 3)] as number)) / total : 0;
			const made = nodes[child] as Node;
			const lower =
				node.depth === 0 ? 1 / symbols : (nodes[made.suffix] as Node).p;
			made.p = own + node.backoff * lower;
		}
	}
}

function prune(nodes: Node[], order: number, threshold: number): void {
	const ids = [...nodes.keys()].sort(
		(a, b) => (nodes[b] as Node).depth - (nodes[a] as Node).depth,
	);
	for (const id of ids) {
		const node = nodes[id] as Node;
		if (node.depth < 2) continue;
		const parent = nodes[node.parent] as Node;
		const lower = parent.backoff * (nodes[node.suffix] as Node).p;
		const gain = node.count * Math.abs(Math.log(node.p) - Math.log(lower));
		const hasChildren = [...node.children.values()].some(
			(c) => (nodes[c] as Node).kept,
		);
		if (gain <= threshold && !hasChildren) node.kept = false;
	}
	// What the kept n-grams leave over goes to the shorter history. Where both are all but used up the quotient
	// means nothing and may be huge; weights above one are cut, which costs no accuracy.
	for (const node of nodes) {
		if (!node.kept || node.depth === 0 || node.depth === order) continue;
		let here = 0;
		let lower = 0;
		for (const child of node.children.values()) {
			const c = nodes[child] as Node;
			if (!c.kept) continue;
			here += c.p;
			lower += (nodes[c.suffix] as Node).p;
		}
		node.backoff = Math.min(
			1,
			Math.max(1e-6, 1 - here) / Math.max(1e-6, 1 - lower),
		);
	}
}

function toLevels(nodes: Node[], order: number): NgramModel {
	const levels: NgramModel["levels"] = [];
	let current = [0];
	for (let depth = 1; depth <= order; depth++) {
		const next: number[] = [];
		const childCounts: number[] = [];
		for (const id of current) {
			const kept = [...(nodes[id] as Node).children]
				.filter(([, child]) => (nodes[child] as Node).kept)
				.sort(([a], [b]) => a - b);
			childCounts.push(kept.length);
			for (const [, child] of kept) next.push(child);
		}
		if (depth > 1)
			(levels[depth - 2] as NgramModel["levels"][number]).children =
				childCounts;
		const of = next.map((id) => nodes[id] as Node);
		levels.push({
			symbol: of.map((n) => n.symbol),
			p: of.map((n) => n.p),
			backoff: of.map((n) => n.backoff),
			children: of.map(() => 0),
		});
		current = next;
	}
	return { order, levels };
}
