/*
 * Times libwim's decoders on chunks that somebody else cut out of a WIM, so that a comparison with another decoder
 * measures decoding alone.
 *
 *     codec-peer FILE
 *
 * FILE: three little-endian u32 {codec (1 XPRESS, 2 LZX, 3 LZMS), chunk size, number of chunks}, then for each chunk
 * {u32 compressed size, u32 decompressed size, the compressed bytes}.
 *
 * The first line of output is libwim's version. Then, for each line read from standard input, every chunk is decoded
 * once, and a line with the CPU time in microseconds and an FNV-1a hash of the first pass's output is printed.
 * The caller thus decides when to measure, and can alternate between peers.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <wimlib.h>

static void die(const char *what)
{
	fprintf(stderr, "codec-peer: %s\n", what);
	exit(1);
}

static uint32_t u32_at(const uint8_t *p)
{
	return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

/* CPU time of this process, which does next to nothing in the kernel while it decodes. */
static long long cpu_microseconds(void)
{
	struct timespec now;

	if (clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now))
		die("clock_gettime");
	return now.tv_sec * 1000000LL + now.tv_nsec / 1000;
}

int main(int argc, char **argv)
{
	FILE *file;
	long size;
	uint8_t *data, *out;
	struct wimlib_decompressor *decompressor;
	uint32_t codec, chunk_size, count;
	uint64_t hash = 0xcbf29ce484222325;
	int hashed = 0;
	char line[16];

	if (argc != 2)
		die("usage: codec-peer FILE");
	file = fopen(argv[1], "rb");
	if (!file || fseek(file, 0, SEEK_END) || (size = ftell(file)) < 12)
		die("cannot open the file of chunks");
	rewind(file);
	data = malloc(size);
	if (!data || fread(data, 1, size, file) != (size_t)size)
		die("cannot read the file of chunks");
	codec = u32_at(data);
	chunk_size = u32_at(data + 4);
	count = u32_at(data + 8);
	out = malloc(chunk_size);
	if (!out || wimlib_create_decompressor(codec, chunk_size, &decompressor))
		die("cannot create a decompressor");
	printf("%s\n", (const char *)wimlib_get_version_string());
	fflush(stdout);

	while (fgets(line, sizeof line, stdin)) {
		const uint8_t *p = data + 12, *end = data + size;
		long long spent = 0;

		if (!hashed) {
			for (uint32_t i = 0; i < count; i++) {
				uint32_t csize, usize;

				if (end - p < 8)
					die("the file of chunks is cut off");
				csize = u32_at(p);
				usize = u32_at(p + 4);
				if (end - (p + 8) < (long)csize || usize > chunk_size)
					die("the file of chunks is malformed");
				if (wimlib_decompress(p + 8, csize, out, usize, decompressor))
					die("libwim refuses a chunk");
				for (uint32_t j = 0; j < usize; j++)
					hash = (hash ^ out[j]) * 0x100000001b3;
				p += 8 + csize;
			}
			hashed = 1;
			p = data + 12;
		}
		spent = cpu_microseconds();
		for (uint32_t i = 0; i < count; i++) {
			uint32_t csize = u32_at(p), usize = u32_at(p + 4);

			if (wimlib_decompress(p + 8, csize, out, usize, decompressor))
				die("libwim refuses a chunk");
			p += 8 + csize;
		}
		spent = cpu_microseconds() - spent;
		printf("%lld %016llx\n", spent, (unsigned long long)hash);
		fflush(stdout);
	}
	wimlib_free_decompressor(decompressor);
	return 0;
}
