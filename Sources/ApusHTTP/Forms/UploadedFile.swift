import ApusCore
public import ApusJSON
public import NIOCore

/// A file of a `multipart/form-data` body. A small file is stored in memory, a larger one in a temporary file, which is
/// removed when the last reference to it is released.
///
/// ```swift
/// struct Avatar: Decodable, Sendable {
///     let title: String
///     let picture: UploadedFile
/// }
/// routes.post("avatar", Body(Avatar.self, as: .multipart())) { avatar in … }.bodyLimit(8 << 20)
/// ```
public struct UploadedFile: Sendable {
    enum Storage: Sendable {
        case memory(ByteBuffer)
        case disk(TemporaryFile)
    }

    /// The file name given by the client, without directories. It is untrusted: never use it as a path.
    public let filename: String?
    /// The media type given by the client.
    public let contentType: String?
    /// The size, in bytes.
    public let size: Int
    let storage: Storage

    /// The maximum number of bytes that are read from the disk at once.
    private static let block = 1 << 18

    /// Whether the file is stored on disk because of its size.
    public var isOnDisk: Bool { if case .disk = storage { true } else { false } }

    /// Returns the content of the file, in memory.
    /// - Parameter limit: The maximum size, in bytes. By default, a file of any size is returned, because the body limit of
    ///   the route has already limited it. Pass a limit in a route whose body limit is larger than what fits into memory.
    /// - Throws: An `AppError` with reason `bodyTooLarge` if the file is larger than `limit`, or a file system error.
    public func bytes(upTo limit: Int = .max) async throws -> ByteBuffer {
        guard size <= limit else { throw RequestBody.tooLarge(limit) }
        switch storage {
        case .memory(let buffer): return buffer
        case .disk(let temporary):
            var content = ByteBufferAllocator().buffer(capacity: size)
            while content.readableBytes < size {
                let count = min(size - content.readableBytes, Self.block)
                let piece = try await temporary.file.read(from: content.readableBytes, count: count)
                guard piece.readableBytes > 0 else { break }
                content.writeImmutableBuffer(piece)
            }
            return content
        }
    }

    /// Stores the file at a path, which must not exist yet.
    /// - Throws: A file system error.
    public func store(at path: String) async throws {
        let target = try await OpenFile.new(path)
        switch storage {
        case .memory(let buffer): try await target.write(buffer)
        case .disk(let temporary):
            var offset = 0
            while offset < size {
                let piece = try await temporary.file.read(from: offset, count: min(size - offset, Self.block))
                guard piece.readableBytes > 0 else { break }
                try await target.write(piece)
                offset += piece.readableBytes
            }
        }
    }

    /// Returns the last component of a file name given by a client, separated by slashes or backslashes, at most 255
    /// bytes of it; `nil` if it is not a valid name.
    static func baseName(_ name: String) -> String? {
        let parts = name.utf8.split { $0 == UInt8(ascii: "/") || $0 == UInt8(ascii: "\\") }
        let base = parts.last.map { Substring($0) } ?? ""
        guard !base.isEmpty, base != ".", base != "..",
            !base.unicodeScalars.contains(where: { $0.value < 0x20 || $0.value == 0x7F })
        else { return nil }
        var shortened = ""
        for scalar in base.unicodeScalars {
            guard shortened.utf8.count + UTF8.width(scalar) <= maximumNameSize else { break }
            shortened.unicodeScalars.append(scalar)
        }
        return shortened
    }

    /// The maximum size of a file name, in bytes, which is that of most file systems.
    private static let maximumNameSize = 255
}

extension UploadedFile: Decodable {
    /// Throws an error: files can only be decoded from forms, by a decoder that handles this type itself.
    public init(from decoder: any Decoder) throws {
        throw DecodingError.typeMismatch(
            UploadedFile.self, .init(codingPath: decoder.codingPath, debugDescription: "Expected a file."))
    }
}

extension UploadedFile: SchemaDescribing {
    public static var schema: JSON.Value { ["type": "string", "format": "binary"] }
    public static var schemaExample: UploadedFile {
        UploadedFile(filename: nil, contentType: nil, size: 0, storage: .memory(ByteBuffer()))
    }
}
