#if FUZZING
    import Glibc

    /// What libFuzzer calls with each input. `FUZZ_TARGET` names the target.
    @_cdecl("LLVMFuzzerTestOneInput")
    public func fuzzOneInput(_ bytes: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
        chosen.run(UnsafeRawBufferPointer(start: bytes, count: count))
        return 0
    }

    private let chosen: FuzzTarget = {
        let names = FuzzTarget.allCases.map(\.rawValue).joined(separator: ", ")
        guard let name = getenv("FUZZ_TARGET").map({ String(cString: $0) }), let target = FuzzTarget(rawValue: name)
        else {
            print("FUZZ_TARGET must be one of \(names).")
            exit(2)
        }
        return target
    }()
#endif
