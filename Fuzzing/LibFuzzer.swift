#if FUZZING
    import Glibc

    @_silgen_name("LLVMFuzzerRunDriver")
    private func runDriver(
        _ count: UnsafeMutablePointer<CInt>,
        _ arguments: UnsafeMutablePointer<UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>?>,
        _ test: @convention(c) (UnsafePointer<UInt8>?, Int) -> CInt
    ) -> CInt

    /// Runs libFuzzer. Takes the place of `main`, under the name that the package manager gives it. The environment
    /// variable `FUZZ_TARGET` selects the target.
    @_cdecl("fuzz_parsers_main")
    public func fuzzMain(
        _ count: CInt, _ arguments: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>?
    ) -> CInt {
        var count = count
        var arguments = arguments
        return runDriver(&count, &arguments) { bytes, count in
            selectedTarget.run(UnsafeRawBufferPointer(start: bytes, count: count))
            return 0
        }
    }

    private let selectedTarget: FuzzTarget = {
        let names = FuzzTarget.allCases.map(\.rawValue).joined(separator: ", ")
        guard let name = getenv("FUZZ_TARGET").map({ String(cString: $0) }), let target = FuzzTarget(rawValue: name)
        else {
            print("FUZZ_TARGET must be one of \(names).")
            exit(2)
        }
        return target
    }()
#endif
