import ApusCore
import NIOCore

/// An incremental decompressor of a stream of bytes, which produces no more bytes at once than requested.
final class Decompressor {
    private let coding: ContentCoding
    private let engine: any DecompressionEngine
    private var input = ByteBuffer()
    /// Whether more output may be available without more input.
    private var mayHaveMore = false
    /// Whether the end of the compressed stream was reached.
    private(set) var isFinished = false
    /// The number of empty streams so far.
    private var emptyStreams = 0
    private var hasProduced = false

    private static let maximumEmptyStreams = 100

    init(_ coding: ContentCoding) throws {
        self.coding = coding
        engine = try coding.decompressionEngine()
    }

    /// Appends compressed input.
    func append(_ bytes: ByteBuffer) { input.appendReclaiming(bytes) }

    /// Returns the next decompressed bytes, at most `count`; `nil` if more input is needed.
    /// - Throws: An `AppError` with code `invalidArgument` if the input is not valid for the coding or continues after its
    ///   end.
    func next(atMost count: Int) throws -> ByteBuffer? {
        while isFinished ? input.readableBytes > 0 : input.readableBytes > 0 || mayHaveMore {
            if isFinished { try startNextStream() }
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
                return step?.produced ?? 0
            }
        }
        guard let step else { throw malformed("it cannot be decompressed") }
        input.moveReaderIndex(forwardBy: step.consumed)
        isFinished = step.isEnd
        hasProduced = hasProduced || step.produced > 0
        mayHaveMore = step.produced == count
        return output
    }

    /// Starts the next of several concatenated streams, which all formats but zlib's allow (RFC 1952 §2.2, RFC 8878 §3).
    private func startNextStream() throws {
        guard coding != .deflate else { throw malformed("there is data after its end") }
        emptyStreams += hasProduced ? 0 : 1
        guard emptyStreams <= Self.maximumEmptyStreams else {
            throw malformed("it has more than \(Self.maximumEmptyStreams) empty streams")
        }
        hasProduced = false
        engine.restart()
        isFinished = false
    }

    /// Checks that the input was complete.
    /// - Throws: An `AppError` with code `invalidArgument` if the compressed stream has not ended.
    func finish() throws {
        guard isFinished else { throw malformed("it is truncated") }
    }

    private func malformed(_ reason: String) -> AppError {
        AppError(.invalidArgument, "The body is not valid \(coding): \(reason).")
    }
}

/// A binding to a decompression library.
protocol DecompressionEngine: AnyObject {
    /// Decompresses as much of the input as fits into the output.
    /// - Returns: The progress; `nil` if the input is malformed.
    /// - Throws: A ``CompressionMemoryError`` if the library cannot allocate memory.
    func step(_ input: UnsafeRawBufferPointer, _ output: UnsafeMutableRawBufferPointer) throws -> DecompressionStep?

    /// Resets the state for the next stream.
    func restart()
}

/// The progress of one call of ``DecompressionEngine/step(_:_:)``.
struct DecompressionStep {
    let consumed: Int
    let produced: Int
    /// Whether the end of the compressed stream was reached.
    let isEnd: Bool
}
