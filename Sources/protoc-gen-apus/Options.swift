import SwiftProtobufPluginLibrary

/// What the caller of protoc says.
struct Options {
    /// `internal`, `package` or `public`.
    private(set) var visibility = "internal"
    private var naming = FileNaming.fullPath

    private enum FileNaming: String {
        case fullPath = "FullPath"
        case pathToUnderscores = "PathToUnderscores"
        case dropPath = "DropPath"
    }

    /// - Throws: An ``UnknownOption``.
    init(_ parameter: any CodeGeneratorParameter) throws {
        for (key, value) in parameter.parsedPairs {
            switch (key, value) {
            case ("Visibility", "Internal"), ("Visibility", "Package"), ("Visibility", "Public"):
                visibility = value.lowercased()
            case ("FileNaming", let name):
                guard let known = FileNaming(rawValue: name) else { throw UnknownOption(key: key, value: value) }
                naming = known
            default: throw UnknownOption(key: key, value: value)
            }
        }
    }

    /// The name of the file that is made of one.
    func outputName(of file: FileDescriptor) -> String {
        let path = file.name.hasSuffix(".proto") ? String(file.name.dropLast(6)) : file.name
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
        "The option \(key)=\(value) is not known. Visibility=Internal|Package|Public and "
            + "FileNaming=FullPath|PathToUnderscores|DropPath are."
    }
}
