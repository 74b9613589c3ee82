import ApusServer
import NIOCore

extension FuzzTarget {
    /// The bytes yield the same frames wherever they are split. The first byte determines the split.
    static func fuzzHTTP2(_ input: UnsafeRawBufferPointer) {
        guard let first = input.first else { return }
        let bytes = UnsafeRawBufferPointer(rebasing: input.dropFirst())
        let split = bytes.isEmpty ? 0 : Int(first) % bytes.count
        let whole = frames(in: [ByteBuffer(bytes: bytes)])
        let halves = [ByteBuffer(bytes: bytes.prefix(split)), ByteBuffer(bytes: bytes.dropFirst(split))]
        let parts = frames(in: halves)
        precondition(parts == whole, "A split at \(split) changes the result.")
        precondition(whole.payload <= bytes.count)
    }

    private struct Outcome: Equatable {
        var frames: [FrameReader.Frame] = []
        var payload = 0
        var failure: HTTP2ErrorCode?
    }

    private static func frames(in pieces: [ByteBuffer]) -> Outcome {
        var reader = FrameReader(maximumBlockSize: 256)
        var outcome = Outcome()
        // Without the preface, most inputs would be rejected immediately.
        reader.append(ByteBuffer(bytes: FrameReader.preface))
        do throws(HTTP2Failure) {
            for piece in pieces {
                reader.append(piece)
                while let frame = try reader.next() {
                    if frame != .other { outcome.frames.append(frame) }
                    switch frame {
                    case .data(_, let bytes, let padding, _): outcome.payload += bytes.readableBytes + padding
                    case .headers(_, let bytes, _): outcome.payload += bytes.readableBytes
                    default: break
                    }
                }
            }
        } catch {
            outcome.failure = error.code
        }
        return outcome
    }
}
