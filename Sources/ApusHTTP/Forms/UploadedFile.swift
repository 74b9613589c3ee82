import ApusCore
public import ApusJSON
public import NIOCore

/// A file of a `multipart/form-data` body: in memory when it is small, else in a temporary folder until nobody refers to it
/// any more.
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

    /// The name that the client gave, without any folders. Never use it as a path: it is the client's word.
    public let filename: String?
    /// The media type that the client gave.
    public let contentType: String?
    /// Bytes.
    public let size: Int
    let storage: Storage

    /// Whether it was large enough to be written to the disk.
    public var isOnDisk: Bool { if case .disk = storage { true } else { false } }

    /// All of it.
    /// - Parameter limit: The most bytes to read. 1 MiB.
    /// - Throws: An `AppError` with the reason `bodyTooLarge` for a larger one, or what the file system throws.
    public func bytes(upTo limit: Int = 1 << 20) async throws -> ByteBuffer {
        guard size <= limit else { throw RequestBody.tooLarge(limit) }
        switch storage {
        case .memory(let buffer): return buffer
        case .disk(let temporary): return try await temporary.file.read(from: 0, count: size)
        }
    }

    /// Stores it under a path, where nothing may be yet.
    /// - Throws: What the file system throws.
    public func store(at path: String) async throws {
        let target = try await OpenFile.new(path)
        switch storage {
        case .memory(let buffer): try await target.write(buffer)
        case .disk(let temporary):
            var offset = 0
            while offset < size {
                let piece = try await temporary.file.read(from: offset, count: min(size - offset, 1 << 18))
                guard piece.readableBytes > 0 else { break }
                try await target.write(piece)
                offset += piece.readableBytes
            }
        }
    }

    /// The last component of what a client gave as a file's name, whichever way its slashes lean.
    static func baseName(_ name: String) -> String? {
        let base = name.split { $0 == "/" || $0 == "\\" }.last.map(String.init) ?? ""
        let isName = !base.isEmpty && base != "." && base != ".." && !base.unicodeScalars.contains { $0.value < 32 }
        return isName ? String(base.prefix(255)) : nil
    }
}

extension UploadedFile: Decodable {
    /// From a form alone: another format has no files.
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
