#pragma once
#include <stdint.h>

/// Returns the number of allocations by this process so far: malloc, calloc, realloc and the aligned variants.
uint64_t allocation_count(void);
