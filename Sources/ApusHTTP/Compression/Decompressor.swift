import ApusCore
import NIOCore

/// Decompresses a stream of bytes, piece by piece: no more is made at once than is asked for.
final class Decompressor {
    private let coding: ContentCoding
    private let engine: any DecompressionEngine
    private var input = ByteBuffer()
    /// Whether there is no need of more input for more output.
    private var mayHaveMore = false
    /// Whether the end of the compressed stream was seen.
    private(set) var isFinished = false
    /// How many streams of nothing there were.
    private var emptyStreams = 0
    private var hasMade = false

    private static let mostEmptyStreams = 100

    init(_ coding: ContentCoding) throws {
        self.coding = coding
        engine = try coding.decompressionEngine()
    }

    /// Gives it more to read.
    func append(_ bytes: ByteBuffer) { input.appendReclaiming(bytes) }

    /// The next bytes, at most so many; `nil` when more has to come first.
    /// - Throws: An `AppError` of code `invalidArgument` for what is not compressed so, or goes on after its end.
    func next(atMost count: Int) throws -> ByteBuffer? {
        while isFinished ? input.readableBytes > 0 : input.readableBytes > 0 || mayHaveMore {
            if isFinished { try goOn() }
            let output = try step(count)
            if output.readableBytes > 0 { return output }
            guard isFinished else { return nil }
        }
        return nil
    }

    private func step(_ count: Int) throws -> ByteBuffer {
        var output = ByteBufferAllocator().buffer(capacity: count)
        var step: DecompressionStep?
        _ = try input.withUnsafeReadableBytes { bytes in
            try output.writeWithUnsafeMutableBytes(minimumWritableBytes: count) { memory in
                step = try engine.step(bytes, UnsafeMutableRawBufferPointer(rebasing: memory.prefix(count)))
                return step?.made ?? 0
            }
        }
        guard let step else { throw malformed("it cannot be decompressed") }
        input.moveReaderIndex(forwardBy: step.consumed)
        isFinished = step.isEnd
        hasMade = hasMade || step.made > 0
        mayHaveMore = step.made == count
        return output
    }

    /// One stream may follow another (RFC 1952 §2.2, RFC 8878 §3), but not in zlib's format.
    private func goOn() throws {
        guard coding != .deflate else { throw malformed("something follows its end") }
        emptyStreams += hasMade ? 0 : 1
        guard emptyStreams <= Self.mostEmptyStreams else { throw malformed("it has too many parts without content") }
        hasMade = false
        engine.restart()
        isFinished = false
    }

    /// - Throws: When the compressed stream was not there to its end.
    func finish() throws {
        guard isFinished else { throw malformed("it ends too early") }
    }

    private func malformed(_ what: String) -> AppError {
        AppError(.invalidArgument, "The body is not valid \(coding): \(what).")
    }
}

/// A library that decompresses.
protocol DecompressionEngine: AnyObject {
    /// Reads from one and writes to the other as far as it comes.
    /// - Returns: `nil` for what is not compressed so.
    /// - Throws: A ``CompressionMemoryError``.
    func step(_ input: UnsafeRawBufferPointer, _ output: UnsafeMutableRawBufferPointer) throws -> DecompressionStep?

    /// Begins anew, with the next stream.
    func restart()
}

struct DecompressionStep {
    let consumed: Int
    let made: Int
    /// Whether the compressed stream ended.
    let isEnd: Bool
}
