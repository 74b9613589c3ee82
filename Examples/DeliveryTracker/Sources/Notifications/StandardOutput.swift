#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

/// Flushes standard output, so that printed lines are not lost if the process is killed.
func flushStandardOutput() { fflush(nil) }
