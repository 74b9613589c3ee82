import FoundationEssentials
import SwiftProtobuf

/// The `.proto` files of the served services, indexed by name and by the symbols that they declare.
struct FileDirectory: Sendable {
    /// A file: a serialized `google.protobuf.FileDescriptorProto` and the names of its imports.
    struct File: Sendable {
        let bytes: Data
        let imports: [String]
    }

    /// The full names of the services, sorted.
    let services: [String]
    private var files: [String: File] = [:]
    /// The names of the files that declare symbols, keyed by the symbol's full name.
    private var fileOfSymbol: [String: String] = [:]
    /// The names of the files that declare extensions, keyed by extended type and field number.
    private var fileOfExtension: [String: [Int32: String]] = [:]

    /// - Parameter served: The services. Files that cannot be decoded are skipped.
    init(_ served: [ServedServices]) {
        services = served.flatMap(\.names).sorted()
        for text in served.flatMap(\.files) {
            guard let bytes = Data(base64Encoded: text),
                let file = try? Google_Protobuf_FileDescriptorProto(serializedBytes: bytes), files[file.name] == nil
            else { continue }
            files[file.name] = File(bytes: bytes, imports: file.dependency)
            add(file)
        }
    }

    private mutating func add(_ file: Google_Protobuf_FileDescriptorProto) {
        let prefix = file.package.isEmpty ? "" : file.package + "."
        for message in file.messageType { add(message, prefix, file.name) }
        for type in file.enumType { add(type, prefix, file.name) }
        for service in file.service {
            fileOfSymbol[prefix + service.name] = file.name
            for method in service.method { fileOfSymbol[prefix + service.name + "." + method.name] = file.name }
        }
        add(file.extension, prefix, file.name)
    }

    private mutating func add(_ message: Google_Protobuf_DescriptorProto, _ prefix: String, _ file: String) {
        let name = prefix + message.name
        fileOfSymbol[name] = file
        for field in message.field { fileOfSymbol[name + "." + field.name] = file }
        for nested in message.nestedType { add(nested, name + ".", file) }
        for type in message.enumType { add(type, name + ".", file) }
        for oneOf in message.oneofDecl { fileOfSymbol[name + "." + oneOf.name] = file }
        add(message.extension, name + ".", file)
    }

    /// Adds an enum, whose values are siblings of the enum in the namespace.
    private mutating func add(_ type: Google_Protobuf_EnumDescriptorProto, _ prefix: String, _ file: String) {
        fileOfSymbol[prefix + type.name] = file
        for value in type.value { fileOfSymbol[prefix + value.name] = file }
    }

    private mutating func add(
        _ extensions: [Google_Protobuf_FieldDescriptorProto], _ prefix: String, _ file: String
    ) {
        for field in extensions {
            fileOfSymbol[prefix + field.name] = file
            let extended = field.extendee.hasPrefix(".") ? String(field.extendee.dropFirst()) : field.extendee
            fileOfExtension[extended, default: [:]][field.number] = file
        }
    }

    /// Returns a file and its transitive imports, or `nil` if there is no file with that name.
    func files(named name: String) -> [Data]? {
        guard files[name] != nil else { return nil }
        var found: [Data] = []
        var seen: Set<String> = []
        func add(_ name: String) {
            guard let file = files[name], seen.insert(name).inserted else { return }
            found.append(file.bytes)
            file.imports.forEach(add)
        }
        add(name)
        return found
    }

    func files(declaring symbol: String) -> [Data]? { fileOfSymbol[symbol].flatMap(files(named:)) }

    func files(extending type: String, number: Int32) -> [Data]? {
        fileOfExtension[type]?[number].flatMap(files(named:))
    }

    /// Returns the extension numbers of a type, or `nil` if the type is unknown.
    func extensionNumbers(of type: String) -> [Int32]? {
        guard fileOfSymbol[type] != nil || fileOfExtension[type] != nil else { return nil }
        return fileOfExtension[type]?.keys.sorted() ?? []
    }
}
