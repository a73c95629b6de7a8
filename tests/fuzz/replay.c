/* The main of a fuzz target that is built without libFuzzer: runs it once on
 * each file named, in the order given.
 *
 *     build/sanitize/fuzz_x tests/fuzz/seeds/x/…      ends early, by the
 * target's own doing, where a promise is broken */
#include "input.h"
#include <stdio.h>

#define INPUT_BYTES_MAX (1 << 20)

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        FILE *file = fopen(argv[i], "rb");
        if (!file) return perror(argv[i]), 1;
        uint8_t *bytes = malloc(INPUT_BYTES_MAX);
        size_t size = fread(bytes, 1, INPUT_BYTES_MAX, file);
        uint8_t *input = malloc(size + !size); /* of its very size: a byte too far is seen */
        for (size_t k = 0; k < size; k++) input[k] = bytes[k];
        fclose(file);
        LLVMFuzzerTestOneInput(input, size);
        free(input);
        free(bytes);
    }
    printf("%s: %d inputs\n", argv[0], argc - 1);
    return 0;
}
