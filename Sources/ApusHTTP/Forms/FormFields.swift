import ApusCore

/// The fields of a form as a tree: `address[city]=x` is a field of a field, `tags[]=a&tags[]=b` and `tags=a&tags=b` are lists,
/// and so is `items[0][name]=a&items[1][name]=b`.
package struct FormFields: Sendable {
    /// What a field is.
    enum Value: Sendable {
        case text(String)
        case file(UploadedFile)
    }

    /// One field, and those that its name is the beginning of.
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

        /// The elements, if this is read as a list.
        var elements: [Node] {
            if let child = self[""] { return values.map(Node.init) + child.values.map(Node.init) }
            let numbered = names.compactMap { name in Int(name).map { ($0, name) } }.sorted { $0.0 < $1.0 }
            if !numbered.isEmpty { return numbered.compactMap { self[$0.1] } }
            return values.map(Node.init)
        }

        /// Whether it is a list written in one way: `a=1` and `a[]=1` go together, and neither goes with `a[0]=1` or `a[b]=1`.
        var isOneKindOfList: Bool {
            let isPlain = !values.isEmpty || self[""] != nil
            return names.allSatisfy { isPlain ? $0.isEmpty : Int($0) != nil }
                && (self[""]?.hasChildren ?? false) == false
        }

        init() {}
        private init(_ value: Value) { values = [value] }
    }

    static let maximumCount = 1000
    static let maximumDepth = 8

    private(set) var root = Node()
    private var count = 0

    init() {}

    /// Reads `application/x-www-form-urlencoded` (the URL standard, §5.1), strictly: a `%` has two digits after it.
    package init(urlEncoded text: String) throws {
        for (name, value) in try URLEncodedPairs.read(text, of: "form") { try add(name, .text(value)) }
    }

    mutating func add(_ name: String, _ value: Value) throws {
        count += 1
        guard count <= Self.maximumCount else {
            throw AppError(
                .outOfRange, "The form has more than the \(Self.maximumCount) fields allowed.", reason: .bodyTooLarge)
        }
        let path = Self.path(name)
        guard path.count <= Self.maximumDepth else {
            throw AppError(
                .invalidArgument, "The field \"\(name.prefix(64))\" is nested deeper than \(Self.maximumDepth) levels.")
        }
        root.insert(value, path[...])
    }

    /// `a[b][]` as `a`, `b` and an empty name. A name whose brackets do not pair is taken as it is.
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
