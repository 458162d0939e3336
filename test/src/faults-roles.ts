/** What a process of the fault campaign is. */
export type Role =
	| { kind: "broker"; port: number; dir: string }
	| {
			kind: "store";
			url: string;
			dir: string;
			/** Path. */
			journal: string;
	  }
	| {
			kind: "agent";
			url: string;
			dir: string;
			port: number;
			/** Path. */
			journal: string;
			/** The first root file that it was given, base64. */
			roots: string;
	  };
