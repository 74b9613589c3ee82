import SwiftProtobufPluginLibrary

/// The options passed by protoc. They are those of `protoc-gen-grpc-swift-2` that apply to this plugin.
struct Options {
    /// The access level of the generated code: `internal`, `package` or `public`.
    private(set) var visibility = "internal"
    /// Whether imports have access levels, as needed in targets that enable `InternalImportsByDefault` and whose
    /// generated code is not internal.
    private(set) var usesAccessLevelOnImports = false
    /// The modules that contain the messages of other files.
    private(set) var modules = ProtoFileToModuleMappings()
    private(set) var extraImports: [String] = []
    private var naming = FileNaming.fullPath

    private enum FileNaming: String {
        case fullPath = "FullPath"
        case pathToUnderscores = "PathToUnderscores"
        case dropPath = "DropPath"
    }

    /// - Throws: An ``UnknownOption``, or an error from reading the module mappings file.
    init(_ pairs: [(key: String, value: String)]) throws {
        for (key, value) in pairs {
            switch (key, value) {
            case ("Visibility", "Internal"), ("Visibility", "Package"), ("Visibility", "Public"):
                visibility = value.lowercased()
            case ("UseAccessLevelOnImports", _):
                guard let flag = Bool(value.lowercased()) else { throw UnknownOption(key: key, value: value) }
                usesAccessLevelOnImports = flag
            case ("FileNaming", let name):
                guard let known = FileNaming(rawValue: name) else { throw UnknownOption(key: key, value: value) }
                naming = known
            case ("ProtoPathModuleMappings", _) where !value.isEmpty:
                modules = try ProtoFileToModuleMappings(path: value)
            case ("ExtraModuleImports", _) where !value.isEmpty: extraImports.append(value)
            default: throw UnknownOption(key: key, value: value)
            }
        }
    }

    /// Returns the name of the generated file for a .proto file.
    func outputName(of file: String) -> String {
        let path = file.hasSuffix(".proto") ? String(file.dropLast(6)) : file
        return switch naming {
        case .fullPath: path + ".apus.swift"
        case .pathToUnderscores: path.replacing("/", with: "_") + ".apus.swift"
        case .dropPath: String(path.split(separator: "/").last ?? "") + ".apus.swift"
        }
    }
}

struct UnknownOption: Error, CustomStringConvertible {
    let key: String
    let value: String

    var description: String {
        "Unknown option \(key)=\(value). Supported are Visibility=Internal|Package|Public, "
            + "FileNaming=FullPath|PathToUnderscores|DropPath, UseAccessLevelOnImports=true|false, "
            + "ProtoPathModuleMappings=<file> and ExtraModuleImports=<module>."
    }
}
