/*
 * Compresses chunks with libwim, to compare another encoder's sizes and speed with.
 *
 *     codec-encode-peer FILE LEVEL
 *
 * FILE: three little-endian u32 {codec (1 XPRESS, 2 LZX, 3 LZMS), chunk size, number of chunks}, then for each chunk
 * {u32 size, the bytes}. LEVEL is libwim's, 0 for its default.
 *
 * The first line of output is libwim's version. Then, for each line read from standard input, every chunk is
 * compressed once, and a line with the CPU time in microseconds and the sum of the sizes is printed; a chunk that
 * libwim does not compress counts with its own size.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <wimlib.h>

static void die(const char *what)
{
	fprintf(stderr, "codec-encode-peer: %s\n", what);
	exit(1);
}

static uint32_t u32_at(const uint8_t *p)
{
	return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

/* CPU time of this process, which does next to nothing in the kernel while it compresses. */
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
	struct wimlib_compressor *compressor;
	uint32_t codec, chunk_size, count;
	char line[16];

	if (argc != 3)
		die("usage: codec-encode-peer FILE LEVEL");
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
	if (!out || wimlib_create_compressor(codec, chunk_size, atoi(argv[2]), &compressor))
		die("cannot create a compressor");
	printf("%s\n", (const char *)wimlib_get_version_string());
	fflush(stdout);

	while (fgets(line, sizeof line, stdin)) {
		const uint8_t *p = data + 12, *end = data + size;
		unsigned long long total = 0;
		long long spent = cpu_microseconds();

		for (uint32_t i = 0; i < count; i++) {
			uint32_t usize;
			size_t csize;

			if (end - p < 4 || (usize = u32_at(p)) > chunk_size || end - p - 4 < (long)usize)
				die("the file of chunks is malformed");
			csize = usize < 2 ? 0 : wimlib_compress(p + 4, usize, out, usize - 1, compressor);
			total += csize ? csize : usize;
			p += 4 + usize;
		}
		spent = cpu_microseconds() - spent;
		printf("%lld %llu\n", spent, total);
		fflush(stdout);
	}
	wimlib_free_compressor(compressor);
	return 0;
}
