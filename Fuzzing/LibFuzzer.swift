#if FUZZING
    import Glibc

    @_silgen_name("LLVMFuzzerRunDriver")
    private func runDriver(
        _ count: UnsafeMutablePointer<CInt>,
        _ arguments: UnsafeMutablePointer<UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>?>,
        _ test: @convention(c) (UnsafePointer<UInt8>?, Int) -> CInt
    ) -> CInt

    /// In the place of `main`, by the name that the package manager gives it: hands over to libFuzzer. `FUZZ_TARGET` names
    /// the target.
    @_cdecl("fuzz_parsers_main")
    public func fuzzMain(
        _ count: CInt, _ arguments: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>?
    ) -> CInt {
        var count = count
        var arguments = arguments
        return runDriver(&count, &arguments) { bytes, count in
            chosen.run(UnsafeRawBufferPointer(start: bytes, count: count))
            return 0
        }
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
