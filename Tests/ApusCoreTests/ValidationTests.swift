@testable import ApusCore
import Testing

private struct Point: Validatable {
    var latitude: Double
    static let rules: [Rule<Point>] = [Rule("latitude", \.latitude, .range(-90...90))]
}

private struct Form: Validatable {
    var name = "Ada"
    var email = "ada@example.org"
    var nick: String?
    var tags: [String] = ["a"]
    var start = Point(latitude: 0)
    var stops: [Point] = []
    static let rules: [Rule<Form>] = [
        Rule("name", \.name, .length(1...5)),
        Rule("email", \.email, .email),
        Rule("nick", \.nick, .length(2...3)),
        Rule("tags", \.tags, .count(1...2)),
        .nested("start", \.start),
        .each("stops", \.stops),
        Rule("a/b~c", \.name, .custom(code: "shout", message: "must not shout") { $0 != "ADA" }),
    ]
}

@Suite struct ValidationTests {
    @Test func `A form that satisfies all rules has no failures`() throws {
        try Form().validate()
    }

    @Test func `All failing fields are reported together, by JSON pointer`() throws {
        let form = Form(
            name: "", email: "ada", nick: "x", tags: [], start: Point(latitude: 91),
            stops: [Point(latitude: 0), Point(latitude: .nan)])
        let error = #expect(throws: AppError.self) { try form.validate() }
        let failures = try #require(error).details.failures
        #expect(
            failures.map(\.pointer) == ["/name", "/email", "/nick", "/tags", "/start/latitude", "/stops/1/latitude"])
        #expect(failures.map(\.code) == ["length", "email", "length", "count", "out_of_range", "out_of_range"])
        #expect(failures[0].message == "must have 1 to 5 characters")
    }

    @Test func `Names are escaped in JSON pointers (RFC 6901)`() {
        #expect(Form(name: "ADA").validationFailures().map(\.pointer) == ["/a~1b~0c"])
    }

    @Test(arguments: [0, 1, 5, 6]) func `Length bounds are inclusive`(length: Int) {
        let failures = Form(name: String(repeating: "x", count: length)).validationFailures()
        #expect(failures.isEmpty == (1...5).contains(length))
    }

    @Test func `A letter with a million combining accents does not pass as one character`() {
        let name = "a" + String(repeating: "\u{301}", count: 1_000_000)
        #expect(name.count == 1)
        #expect(Form(name: name).validationFailures().map(\.pointer) == ["/name"])
    }

    @Test(arguments: ["a@b.c", "first.last@sub.example.org"])
    func `A valid email address is accepted`(address: String) {
        #expect(Form(email: address).validationFailures().isEmpty)
    }

    @Test(arguments: [
        "", "@", "a@", "@b.c", "a@b", "a@b.", "a@.b", "a b@c.d", "a@b@c.d", "a@b.c\n", "é@b.c", "a@é.c", "a\u{7}@b.c",
        "a@-b.c",
        "a@b-.c", "a@b..c", "a@\(String(repeating: "x", count: 64)).c", "\(String(repeating: "x", count: 251))@b.c",
    ])
    func `An invalid email address is rejected`(address: String) {
        #expect(Form(email: address).validationFailures().map(\.code) == ["email"])
    }

    private func holds(_ constraint: Constraint<String>, _ text: String) -> Bool {
        struct Field: Validatable {
            static var rules: [Rule<Field>] { [] }
            var text: String
        }
        var failures: [ValidationFailure] = []
        Rule<Field>("text", \.text, constraint).check(Field(text: text), .root, &failures)
        return failures.isEmpty
    }

    @Test func `A line must not contain control characters`() {
        for text in ["a", "Ünïcod ✓", "12345678"] { #expect(holds(.line(1...8), text)) }
        for text in ["", "123456789", "a\nb", "a\u{0}", "\u{7F}", "\u{85}"] { #expect(!holds(.line(1...8), text)) }
    }

    @Test func `The constraints of a rule are checked up to the first that is broken`() {
        struct Field: Validatable {
            static var rules: [Rule<Field>] {
                [
                    Rule("text", \.text, .length(1...3), .custom(code: "vowel", message: "is wrong") { $0 < "b" }),
                    Rule("text", \.text, .oneOf("a")),
                ]
            }
            var text: String
        }
        #expect(Field(text: "xyz").validationFailures().map(\.code) == ["vowel", "not_allowed"])
        #expect(Field(text: "wxyz").validationFailures().map(\.code) == ["length", "not_allowed"])
        #expect(Field(text: "a").validationFailures().isEmpty)
    }

    @Test func `A bound that a number in JSON cannot represent is not in the schema`() {
        #expect(Constraint<UInt64>.range(0...UInt64.max).keywords == [.minimum(0)])
        #expect(Constraint<Int>.range(-9...(1 << 53 + 1)).keywords == [.minimum(-9)])
        #expect(Constraint<Int>.range(1...9).keywords == [.minimum(1), .maximum(9)])
    }

    @Test func `Text is checked against a set of values or a pattern, also concurrently`() async throws {
        #expect(holds(.oneOf("a", "b"), "b") && !holds(.oneOf("a", "b"), "c"))
        let plate: Constraint<String> = .pattern("^[A-Z]{2}-[0-9]+$", message: "must be a number plate")
        await withTaskGroup(of: Void.self) { group in
            for number in 0..<100 {
                group.addTask {
                    #expect(holds(plate, "AB-\(number)"))
                    #expect(!holds(plate, "A-\(number)"))
                }
            }
        }
    }

    private struct Vehicle: Validatable {
        static let rules: [Rule<Vehicle>] = [
            Rule("plate", \.plate, .length(1...9), .pattern("^([A-Z]+$", message: "must be a number plate")),
            .each("trailers", \.trailers),
        ]
        var plate: String?
        var trailers: [Vehicle] = []
    }

    private struct Fleet: Validatable {
        static let rules: [Rule<Fleet>] = [
            .nested("first", \.first), .each("others", \.others), Rule("name", \.name, .line(1...80)),
        ]
        var first = Vehicle()
        var others: [Vehicle] = []
        var name = "a"
    }

    @Test func `A pattern that is not a regular expression is found in the rules, and no text satisfies it`() {
        let expected =
            "The rule \"plate\" of Vehicle has the pattern \"^([A-Z]+$\", which is not a regular expression: "
        for problems in [Vehicle.problemsOfRules(), Fleet.problemsOfRules()] {
            #expect(problems.count == 1)
            #expect(problems.first?.hasPrefix(expected) == true, "\(problems)")
        }
        #expect(Fleet().validationFailures().isEmpty)
        #expect(Fleet(first: Vehicle(plate: "A")).validationFailures().map(\.pointer) == ["/first/plate"])
    }
}
