import ApusCore

/// The fields of a form as a tree: `address[city]=x` is a nested field; `tags[]=a&tags[]=b`, `tags=a&tags=b` and
/// `items[0][name]=a&items[1][name]=b` are lists.
package struct FormFields: Sendable {
    /// The value of a field.
    enum Value: Sendable {
        case text(String)
        case file(UploadedFile)
    }

    /// A field with its values and nested fields.
    struct Node: Sendable {
        var values: [Value] = []
        var names: [String] = []
        private var children: [ExactString: Node] = [:]

        subscript(name: String) -> Node? { children[ExactString(name)] }

        var hasChildren: Bool { !children.isEmpty }

        mutating func insert(_ value: Value, _ path: ArraySlice<String>) {
            guard let name = path.first else {
                values.append(value)
                return
            }
            if self[name] == nil { names.append(name) }
            children[ExactString(name), default: Node()].insert(value, path.dropFirst())
        }

        /// The elements of the field as a list.
        var elements: [Node] {
            if let child = self[""] { return values.map(Node.init) + child.values.map(Node.init) }
            let numbered = names.compactMap { name in Self.index(name).map { ($0, name) } }.sorted { $0.0 < $1.0 }
            if !numbered.isEmpty { return numbered.compactMap { self[$0.1] } }
            return values.map(Node.init)
        }

        /// Whether the field uses a single list notation: `a=1` and `a[]=1` can be combined, but not with `a[0]=1` or `a[b]=1`.
        var hasConsistentListNotation: Bool {
            let isUnindexed = !values.isEmpty || self[""] != nil
            return names.allSatisfy { isUnindexed ? $0.isEmpty : Self.index($0) != nil }
                && (self[""]?.hasChildren ?? false) == false
        }

        /// An index in its only spelling: `01` and `+1` are names.
        private static func index(_ name: String) -> Int? {
            Int(name).flatMap { $0 >= 0 && "\($0)".isExactly(name) ? $0 : nil }
        }

        init() {}
        private init(_ value: Value) { values = [value] }
    }

    static let maximumCount = 1000
    static let maximumDepth = 8

    private(set) var root = Node()
    private var count = 0

    init() {}

    /// Parses `application/x-www-form-urlencoded` (the URL standard, §5.1). Parsing is strict: two hexadecimal digits must
    /// follow each `%`.
    /// - Throws: An `AppError` if the form is malformed, or has too many or too deeply nested fields.
    package init(urlEncoded text: String) throws {
        for (name, value) in try URLEncodedPairs.read(text, of: "form") { try add(name, .text(value)) }
    }

    /// Adds a field.
    /// - Throws: An `AppError` if there are too many fields, or if this one is nested too deeply.
    mutating func add(_ name: String, _ value: Value) throws {
        count += 1
        guard count <= Self.maximumCount else {
            throw AppError(
                .outOfRange, "The form exceeds the limit of \(Self.maximumCount) fields.", reason: .bodyTooLarge)
        }
        let path = Self.path(name)
        guard path.count <= Self.maximumDepth else {
            throw AppError(
                .invalidArgument, "The field \"\(name.prefix(64))\" is nested deeper than \(Self.maximumDepth) levels.")
        }
        root.insert(value, path[...])
    }

    /// Splits `a[b][]` into `a`, `b` and an empty name. A name with unbalanced brackets is not split.
    static func path(_ name: String) -> [String] {
        let (open, close) = (UInt8(ascii: "["), UInt8(ascii: "]"))
        var rest = Substring(name).utf8
        guard let bracket = rest.firstIndex(of: open), bracket > rest.startIndex, rest.last == close else {
            return [name]
        }
        var path = [String(name[..<bracket])]
        rest = rest[bracket...]
        while !rest.isEmpty {
            guard rest.first == open, let end = rest.firstIndex(of: close) else { return [name] }
            let part = rest.dropFirst().prefix(upTo: end)
            guard !part.contains(open) else { return [name] }
            path.append(String(Substring(part)))
            rest = rest[rest.index(after: end)...]
        }
        return path
    }
}
