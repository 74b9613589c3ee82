#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

/// Hands on what was printed at once, so that a killed process has not kept it for itself.
func flushStandardOutput() { fflush(nil) }
