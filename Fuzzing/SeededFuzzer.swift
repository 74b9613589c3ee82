#if !FUZZING
    import Foundation

    /// A short fuzzing run without libFuzzer: replays the corpus, then mutates it randomly but reproducibly for a given
    /// seed.
    ///
    ///     fuzz-parsers CORPUS [inputs per target] [seed]
    @main
    struct SeededFuzzer {
        static func main() throws {
            let arguments = CommandLine.arguments.dropFirst()
            guard let corpus = arguments.first else {
                print("Usage: fuzz-parsers CORPUS [inputs per target] [seed]")
                exit(2)
            }
            let inputs = arguments.dropFirst().first.flatMap { Int($0) } ?? 100_000
            let seed = arguments.dropFirst(2).first.flatMap { UInt64($0) } ?? 1
            for target in FuzzTarget.allCases {
                let seeds = try seeds(of: target, in: URL(filePath: corpus))
                var mutator = Mutator(seeds: seeds, seed: seed)
                for seed in seeds { seed.withUnsafeBytes(target.run) }
                for _ in 0..<inputs { mutator.next().withUnsafeBytes(target.run) }
                print("\(target.rawValue): \(seeds.count) corpus files, \(inputs) mutated inputs")
            }
        }

        private static func seeds(of target: FuzzTarget, in corpus: URL) throws -> [[UInt8]] {
            let folder = corpus.appending(path: target.rawValue)
            let files = try FileManager.default.contentsOfDirectory(at: folder, includingPropertiesForKeys: nil)
            return try files.sorted { $0.path < $1.path }.map { Array(try Data(contentsOf: $0)) }
        }
    }

    /// A generator of mutated inputs.
    private struct Mutator {
        private let seeds: [[UInt8]]
        private var state: UInt64

        init(seeds: [[UInt8]], seed: UInt64) {
            self.seeds = seeds.isEmpty ? [[]] : seeds
            state = seed
        }

        mutating func next() -> [UInt8] {
            var bytes = seeds[random(seeds.count)]
            for _ in 0...random(4) { mutate(&bytes) }
            return bytes
        }

        private mutating func mutate(_ bytes: inout [UInt8]) {
            guard !bytes.isEmpty else { return bytes.append(UInt8(random(256))) }
            let index = random(bytes.count)
            switch random(8) {
            case 0: bytes[index] ^= 1 << UInt8(random(8))
            case 1: bytes[index] = Self.significantBytes[random(Self.significantBytes.count)]
            case 2: bytes.insert(Self.significantBytes[random(Self.significantBytes.count)], at: index)
            case 3: bytes.removeSubrange(index..<min(bytes.count, index + 1 + random(8)))
            case 4:
                bytes.insert(
                    contentsOf: bytes[index..<min(bytes.count, index + 1 + random(32))], at: random(bytes.count))
            case 5: bytes.removeLast(random(bytes.count))
            case 6:
                guard let delimiter = bytes[index...].firstIndex(where: Self.delimiters.contains) else { return }
                bytes.insert(contentsOf: Self.combiningMarks[random(Self.combiningMarks.count)], at: delimiter + 1)
            default:
                let other = seeds[random(seeds.count)]
                bytes.replaceSubrange(index..., with: other.dropFirst(random(other.count + 1)))
            }
        }

        private static let delimiters = Array("\"=&;,:/.%[]?\\ \r\n-".utf8)

        /// The scalars U+0301, U+200D and U+FE0F, which form one `Character` with a delimiter before them.
        private static let combiningMarks: [[UInt8]] = [[0xCC, 0x81], [0xE2, 0x80, 0x8D], [0xEF, 0xB8, 0x8F]]

        /// Bytes that are significant to one of the parsers.
        private static let significantBytes =
            Array("\r\n\t :;,/%?&=+-.0159aAfFxX\"\\{}[]etnul\0".utf8) + [0x7F, 0x80, 0xC3, 0xFF, 0x81, 0x82]

        /// Returns a random number below `bound` (SplitMix64).
        private mutating func random(_ bound: Int) -> Int {
            state &+= 0x9E37_79B9_7F4A_7C15
            var mixed = state
            mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
            mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
            return Int((mixed ^ (mixed >> 31)) % UInt64(bound))
        }
    }
#endif
