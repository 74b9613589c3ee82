/// What the command line says.
struct Options {
    var port = 8080
    /// All cores by default.
    var threads: Int?
    /// Whether gRPC's calls take GRPCCore's way, as those of a service without generated code of Apus's.
    var usesGRPCCore = false

    init(_ arguments: some Sequence<String>) throws {
        var arguments = arguments.makeIterator()
        while let name = arguments.next() {
            if name == "--grpc-core" {
                usesGRPCCore = true
                continue
            }
            guard let value = arguments.next().flatMap({ Int($0) }) else { throw UsageError(name: name) }
            switch name {
            case "--port": port = value
            case "--threads": threads = value
            default: throw UsageError(name: name)
            }
        }
    }
}

struct UsageError: Error, CustomStringConvertible {
    let name: String
    var description: String { "\(name) is not understood: bench-server --port N [--threads N] [--grpc-core]" }
}
