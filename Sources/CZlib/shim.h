#if __has_include(<zlib.h>)
#include <zlib.h>
#else
#error "The headers of zlib are missing. Install the package zlib1g-dev (Debian, Ubuntu) or zlib-devel (Fedora)."
#endif
