// Says what to install where SQLite's header is missing. Otherwise the compiler names a file of GRDB that includes it.
#if !__has_include(<sqlite3.h>)
#error "SQLite's header sqlite3.h is missing. Install it: libsqlite3-dev on Debian and Ubuntu, sqlite-devel on Fedora and Amazon Linux, sqlite-dev on Alpine."
#else
#include <sqlite3.h>
#if SQLITE_VERSION_NUMBER < 3037000
#error "SQLite is older than 3.37.0, which tables with strict types need. Install a newer one."
#endif
#endif

#include "CSQLiteHeader.h"
