/** Everything a report shows. Plain data: whoever made the voice fills it in, {@link renderReport} draws it. */
export interface DemoReport {
	/** The page's heading. */
	title: string;
	createdAt: Date;
	voice: ReportVoice;
	/** In the order in which they ran. */
	stages: ReportStage[];
	/** Where joules come from; left out when nothing measured or estimated them. */
	power?: ReportPower;
	/** Training curves. "fine-tune/training" and "fine-tune/held out" share the chart "fine-tune". */
	curves: ReportCurve[];
	/** What can be listened to. A spectrogram of the same label stands above its player. */
	audio: ReportAudio[];
	/** Those without audio of the same label are shown by themselves. */
	spectrograms: ReportSpectrogram[];
	/** The result table. */
	figures: ReportFigure[];
	/** What a reader must know to judge the figures. */
	notes: string[];
}

export interface ReportVoice {
	name: string;
	/** One sentence under the heading. */
	about: string;
	/** [what, value] about the model, the base and the recording. */
	facts: [string, string][];
}

export interface ReportStage {
	name: string;
	seconds: number;
	/** null: unknown, never 0. */
	joules: number | null;
	/** False: an estimate. */
	measured: boolean;
	/** A few words. */
	result: string;
}

export interface ReportPower {
	/** "rapl", "estimate", ... */
	sensor: string;
	/** What the joules cover and what they leave out. */
	scope: string;
	measured: boolean;
	/** What an estimate rests on. */
	assumption?: string;
}

export interface ReportCurve {
	name: string;
	/** [step, value]; a value that is not finite leaves a gap. */
	points: [number, number][];
}

export interface ReportAudio {
	label: string;
	/** What is spoken. */
	text: string;
	/** A whole wav file. */
	wav: Uint8Array;
}

export interface ReportSpectrogram {
	label: string;
	/** Natural log of mel magnitudes, row-major [frames, nMels]. */
	mel: Float32Array;
	frames: number;
	nMels: number;
}

export interface ReportFigure {
	name: string;
	/** null: unknown. */
	value: number | null;
	unit: string;
	/** True: tagged as an estimate, and kept out of the headline. */
	estimated?: boolean;
	/** True: shown large at the top, unless it is an estimate or unknown. */
	headline?: boolean;
	/** What it has to reach. */
	goal?: { is: "at most" | "at least"; value: number };
}
