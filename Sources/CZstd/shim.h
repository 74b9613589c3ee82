#if __has_include(<zstd.h>)
#include <zstd.h>
#include <zstd_errors.h>
#else
#error "The headers of zstd are missing. Install the package libzstd-dev (Debian, Ubuntu) or libzstd-devel (Fedora), or disable the trait Zstandard of the package apus."
#endif
