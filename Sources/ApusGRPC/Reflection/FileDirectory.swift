import FoundationEssentials
import SwiftProtobuf

/// The `.proto` files of the served services, by their names and by what they declare.
struct FileDirectory: Sendable {
    /// One file: its bytes, as `google.protobuf.FileDescriptorProto`, and what it imports.
    struct File: Sendable {
        let bytes: Data
        let imports: [String]
    }

    /// The full names of the services.
    let services: [String]
    private var files: [String: File] = [:]
    /// The file that declares a message, an enumeration, a service or a method.
    private var fileOfSymbol: [String: String] = [:]
    /// The file that declares an extension, by the extended type and the number.
    private var fileOfExtension: [String: [Int32: String]] = [:]

    /// - Parameter served: Files that cannot be read are left out.
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

    /// Its values are named as if they stood beside it.
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

    /// A file and all that it imports; `nil` when there is none of the name.
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

    /// The numbers of the extensions of a type; `nil` when no message has the name.
    func extensionNumbers(of type: String) -> [Int32]? {
        guard fileOfSymbol[type] != nil || fileOfExtension[type] != nil else { return nil }
        return fileOfExtension[type]?.keys.sorted() ?? []
    }
}
