/*
 * Speaks standard input by libespeak-ng and tells when every phoneme begins.
 * usage: espeak-events VOICE WORDS_PER_MINUTE PITCH RANGE OUT.raw
 * OUT.raw: 16-bit mono; standard output: "RATE SAMPLES" and one "SAMPLE MNEMONIC" a line.
 * The declarations are those of espeak-ng/speak_lib.h, version 1.51, so that the header
 * package is not needed.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
	int type;
	unsigned int unique_identifier;
	int text_position, length, audio_position, sample;
	void *user_data;
	union { int number; const char *name; char string[8]; } id;
} Event;
enum { SYNCHRONOUS = 2, WITH_PHONEMES = 1, EVENT_END = 0, EVENT_PHONEME = 7, UTF8 = 1 };
enum { RATE = 1, PITCH = 3, RANGE = 4 };

extern int espeak_Initialize(int output, int buffer, const char *path, int options);
extern void espeak_SetSynthCallback(int (*callback)(short *, int, Event *));
extern int espeak_Synth(const void *text, size_t size, unsigned from, int kind,
	unsigned to, unsigned flags, unsigned *id, void *data);
extern int espeak_SetVoiceByName(const char *name);
extern int espeak_SetParameter(int parameter, int value, int relative);

static FILE *raw;
static long total;
static char lines[1 << 20];
static size_t used;

static int on_audio(short *wave, int count, Event *event) {
	if (wave && count > 0) {
		if (fwrite(wave, 2, count, raw) != (size_t)count) return 1;
		total += count;
	}
	for (; event->type != EVENT_END; event++) {
		char name[9] = {0};
		if (event->type != EVENT_PHONEME) continue;
		memcpy(name, event->id.string, 8);
		if (used + 64 < sizeof lines)
			used += snprintf(lines + used, 64, "%d %s\n", event->sample, name);
	}
	return 0;
}

int main(int argc, char **argv) {
	static char text[1 << 16];
	if (argc != 6) return 2;
	size_t size = fread(text, 1, sizeof text - 1, stdin);
	int rate = espeak_Initialize(SYNCHRONOUS, 0, NULL, WITH_PHONEMES);
	if (rate <= 0) return 3;
	if (!(raw = fopen(argv[5], "wb"))) return 4;
	espeak_SetSynthCallback(on_audio);
	if (espeak_SetVoiceByName(argv[1]) != 0) return 5;
	espeak_SetParameter(RATE, atoi(argv[2]), 0);
	espeak_SetParameter(PITCH, atoi(argv[3]), 0);
	espeak_SetParameter(RANGE, atoi(argv[4]), 0);
	if (espeak_Synth(text, size + 1, 0, 1, 0, UTF8, NULL, NULL) != 0) return 6;
	if (fclose(raw) != 0) return 7;
	printf("%d %ld\n%s", rate, total, lines);
	return 0;
}
