import SwiftProtobufPluginLibrary

/// What the caller of protoc says: the options of `protoc-gen-grpc-swift-2` that have a meaning here.
struct Options {
    /// `internal`, `package` or `public`.
    private(set) var visibility = "internal"
    /// Whether imports say their access level, as targets with the feature `InternalImportsByDefault` need it whose generated
    /// code is not internal.
    private(set) var saysAccessOnImports = false
    /// Modules that other files' messages are in.
    private(set) var modules = ProtoFileToModuleMappings()
    private(set) var extraImports: [String] = []
    private var naming = FileNaming.fullPath

    private enum FileNaming: String {
        case fullPath = "FullPath"
        case pathToUnderscores = "PathToUnderscores"
        case dropPath = "DropPath"
    }

    /// - Throws: An ``UnknownOption``, and what reading a file of module mappings throws.
    init(_ pairs: [(key: String, value: String)]) throws {
        for (key, value) in pairs {
            switch (key, value) {
            case ("Visibility", "Internal"), ("Visibility", "Package"), ("Visibility", "Public"):
                visibility = value.lowercased()
            case ("UseAccessLevelOnImports", _):
                guard let flag = Bool(value.lowercased()) else { throw UnknownOption(key: key, value: value) }
                saysAccessOnImports = flag
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

    /// The name of the file that is made of one.
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
        "The option \(key)=\(value) is not known. Visibility=Internal|Package|Public, "
            + "FileNaming=FullPath|PathToUnderscores|DropPath, UseAccessLevelOnImports=true|false, "
            + "ProtoPathModuleMappings=file and ExtraModuleImports=module are."
    }
}
