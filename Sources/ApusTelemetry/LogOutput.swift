#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

/// Where log lines go.
public struct LogOutput: Sendable {
    package let write: @Sendable (String) -> Void

    /// Lines for a function: for tests.
    public init(_ write: @escaping @Sendable (String) -> Void) { self.write = write }

    /// The process's standard output. A line is written in one call, so that lines of threads do not mix.
    public static let standardOutput = LogOutput { write($0, to: STDOUT_FILENO) }

    /// The process's standard error, for programs whose output is something else.
    public static let standardError = LogOutput { write($0, to: STDERR_FILENO) }

    private static func write(_ line: String, to descriptor: Int32) {
        var line = line
        line.withUTF8 { bytes in
            var rest = UnsafeRawBufferPointer(bytes)
            while let base = rest.baseAddress, rest.count > 0 {
                #if canImport(Darwin)
                    let count = Darwin.write(descriptor, base, rest.count)
                #elseif canImport(Musl)
                    let count = Musl.write(descriptor, base, rest.count)
                #else
                    let count = Glibc.write(descriptor, base, rest.count)
                #endif
                // A closed or full output must not take the service down.
                guard count > 0 else { return }
                rest = UnsafeRawBufferPointer(rebasing: rest[count...])
            }
        }
    }
}
