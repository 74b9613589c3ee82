import ApusCore
import HTTPTypes
import NIOCore

/// Reads a `multipart/form-data` body while it is received. Text fields are stored in memory; files are stored in memory up
/// to a threshold and on disk beyond it.
struct MultipartReader {
    /// The maximum size of a file that is stored in memory, in bytes.
    let threshold: Int
    /// The maximum number of parts.
    let maximumParts: Int
    /// The maximum size of a text field, in bytes.
    static let maximumFieldSize = 1 << 20

    /// Reads a body.
    /// - Throws: An `AppError` if the body is malformed or exceeds a limit, or a file system error.
    func read(_ body: RequestBody, boundary: String) async throws -> FormFields {
        var parser = try MultipartParser(boundary: boundary)
        var fields = FormFields()
        var part: Part?
        var count = 0
        for try await piece in body {
            parser.append(piece)
            while let event = try parser.next() {
                switch event {
                case .part(let headers):
                    count += 1
                    guard count <= maximumParts else {
                        throw AppError(
                            .outOfRange, "The form exceeds the limit of \(maximumParts) parts.",
                            reason: .bodyTooLarge)
                    }
                    part = try Part(headers, threshold: threshold)
                case .bytes(let bytes): try await part?.write(bytes)
                case .end:
                    if let (name, value) = try await part?.finish() { try fields.add(name, value) }
                    part = nil
                case .finished: break
                }
            }
        }
        try parser.finish()
        return fields
    }
}

/// The part that is being read.
private struct Part {
    private let name: String
    private let filename: String?
    private let isFile: Bool
    /// Whether the part has a file name, be it a valid one or not.
    private let isNamed: Bool
    private let contentType: String?
    private let threshold: Int
    private var memory = ByteBuffer()
    private var size = 0
    private var disk: TemporaryFile?

    init(_ headers: HTTPFields, threshold: Int) throws {
        // RFC 7578 §4.2.
        guard let (kind, rest) = headers[.contentDisposition]?.cut(at: ";"),
            kind.trimmed.asciiLowercased == "form-data",
            let parameters = FieldParameters.parse(";" + rest, .browser), let name = parameters["name"]
        else {
            throw MultipartParser.malformed("a part has no Content-Disposition field of type form-data with a name")
        }
        self.name = name
        // `filename*` must not be used in forms (RFC 7578 §4.2), and browsers do not send it.
        isFile = parameters["filename"] != nil
        isNamed = parameters["filename"]?.isEmpty == false
        filename = parameters["filename"].flatMap(UploadedFile.baseName)
        contentType = headers[.contentType]
        self.threshold = threshold
    }

    mutating func write(_ bytes: ByteBuffer) async throws {
        size += bytes.readableBytes
        guard isFile else {
            guard size <= MultipartReader.maximumFieldSize else {
                throw AppError(
                    .outOfRange,
                    "The field \"\(name.prefix(64))\" exceeds the limit of \(MultipartReader.maximumFieldSize) bytes.",
                    reason: .bodyTooLarge)
            }
            memory.writeImmutableBuffer(bytes)
            return
        }
        memory.writeImmutableBuffer(bytes)
        guard size > threshold else { return }
        if disk == nil { disk = try await .make() }
        guard memory.readableBytes >= Self.block else { return }
        try await flush()
    }

    /// The minimum number of bytes that are written to the disk at once.
    private static let block = 1 << 18

    private mutating func flush() async throws {
        guard let disk, memory.readableBytes > 0 else { return }
        try await disk.file.write(memory)
        memory.clear()
    }

    /// Ends the part.
    /// - Returns: The name and the value; `nil` if the user chose no file, for which browsers send an empty file without a name
    ///   (the HTML standard, §4.10.22.4).
    mutating func finish() async throws -> (String, FormFields.Value)? {
        guard isFile else {
            guard let text = String(validating: memory.readableBytesView, as: UTF8.self) else {
                throw AppError(.invalidArgument, "The field \"\(name.prefix(64))\" is not valid UTF-8.")
            }
            return (name, .text(text))
        }
        if size == 0, !isNamed { return nil }
        try await flush()
        let storage = disk.map(UploadedFile.Storage.disk) ?? .memory(memory)
        return (name, .file(UploadedFile(filename: filename, contentType: contentType, size: size, storage: storage)))
    }
}
