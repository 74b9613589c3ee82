import ApusCore
import ApusData
import NIOCore
import Testing

@testable import ApusPostgres

/// Random orders of requests, answers, failures, cancellations and cuts of the stream, from seeds. Each answer must
/// reach the request that it belongs to.
struct InterleavingTests {
    /// SplitMix64.
    private struct SeededGenerator: RandomNumberGenerator {
        var state: UInt64

        mutating func next() -> UInt64 {
            state &+= 0x9E37_79B9_7F4A_7C15
            var z = state
            z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
            z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
            return z ^ (z >> 31)
        }
    }

    /// Answers like a server: each statement returns its only value, unless it is to fail.
    private struct EchoServer {
        private var prepared: [String: Int] = [:]
        private var isFailed = false
        private var bound: (name: String, value: [UInt8], isBinary: Bool)?

        /// - Parameter fails: Whether the next step of a statement fails, with which SQLSTATE.
        mutating func answer(_ message: SentMessage, failure: String?) -> [UInt8] {
            if message.kind == "S" {
                isFailed = false
                prepared[""] = nil
                return ServerMessage.ready()
            }
            if isFailed { return [] }
            switch message.kind {
            case "P":
                if let failure, failure != "0A000" { return fail(failure) }
                let name = message.firstString
                if !name.isEmpty, prepared[name] != nil { return fail("42P05") }
                prepared[name] = 1
                return ServerMessage.parseComplete
            case "D": return ServerMessage.parameters([23]) + Answer.columns
            case "C":
                prepared[String(message.firstString.dropFirst())] = nil
                return ServerMessage.closeComplete
            case "B": return bind(message, failure: failure)
            case "E":
                guard let bound else { return fail("34000") }
                if let failure, failure != "0A000" { return fail(failure) }
                return ServerMessage.row([bound.value]) + ServerMessage.complete("SELECT 1")
            default: return fail("08P01")
            }
        }

        private mutating func bind(_ message: SentMessage, failure: String?) -> [UInt8] {
            var body = ByteBuffer(bytes: message.body)
            _ = body.readNullTerminatedString()
            let name = body.readNullTerminatedString() ?? ""
            guard prepared[name] != nil else { return fail("26000") }
            if let failure {
                if failure == "0A000" { prepared[name] = nil }
                return fail(failure == "0A000" ? "26000" : failure)
            }
            _ = body.readInteger(as: UInt16.self)
            let isBinaryValue = body.readInteger(as: UInt16.self) == 1
            _ = body.readInteger(as: UInt16.self)
            let value = body.readInteger(as: UInt32.self).flatMap { body.readBytes(length: Int($0)) } ?? []
            let isBinaryResult = body.readInteger(as: UInt16.self) == 1 && body.readInteger(as: UInt16.self) == 1
            let number =
                isBinaryValue
                ? value.reduce(0) { $0 << 8 | Int($1) } : Int(String(decoding: value, as: UTF8.self)) ?? -1
            bound = (
                name, isBinaryResult ? ServerMessage.integer(Int32(number)) : Array("\(number)".utf8), isBinaryResult
            )
            return ServerMessage.bindComplete
        }

        private mutating func fail(_ sqlState: String) -> [UInt8] {
            isFailed = true
            return ServerMessage.error(sqlState)
        }
    }

    @Test(arguments: 0..<200)
    func `Every answer reaches its request`(seed: Int) throws {
        var random = SeededGenerator(state: UInt64(seed))
        var test = MachineUnderTest(preparesStatements: seed % 5 != 0, capacity: 1 + seed % 4)
        var server = EchoServer()
        var toServer = ByteBuffer()
        var toClient: [UInt8] = []
        let statements = (0..<6).map { PostgresStatement("SELECT $1 /* \($0) */") }
        var abandoned: Set<Int> = []
        var sizes: [Int] = []
        var next = 0
        let total = 120
        var steps = 0
        while next < total || test.machine.unansweredCount > 0 || !toClient.isEmpty {
            steps += 1
            try #require(steps < 100_000)
            switch Int.random(in: 0..<10, using: &random) {
            case 0..<3 where next < total:
                let group = (0..<Int.random(in: 1...4, using: &random)).map { _ in
                    let statement = statements.randomElement(using: &random) ?? statements[0]
                    return (statement, [SQLValue.integer(Int64(next))])
                }
                test.machine.send(group: group, token: next)
                sizes.append(group.count)
                next += 1
            case 3 where next > 0:
                let request = Int.random(in: 0..<next, using: &random)
                if test.outcome(request) == nil {
                    test.machine.abandon { $0 == request }
                    abandoned.insert(request)
                }
            case 4..<7:
                toServer.writeImmutableBuffer(test.machine.output)
                test.machine.output.clear()
                for message in SentMessage.split(&toServer) {
                    let fails = Int.random(in: 0..<25, using: &random) == 0
                    let failure = ["22012", "0A000", "23505"].randomElement(using: &random)
                    toClient += server.answer(message, failure: fails ? failure : nil)
                }
            default:
                let count = Int.random(in: 0...min(toClient.count, 60), using: &random)
                test.receive(Array(toClient.prefix(count)))
                toClient.removeFirst(count)
            }
            if let failure = test.failure { Issue.record(failure) }
            guard test.failure == nil else { return }
        }
        for (request, outcome) in test.answers {
            #expect(!abandoned.contains(request))
            switch outcome {
            case .rows(let values, _): #expect(values == [.integer(Int64(request))])
            case .failed: break
            case .failedByConnection: Issue.record("The connection has failed.")
            }
        }
        // All statements of a group are answered, in the order of their requests, and either all succeed or all fail.
        let answers = Dictionary(grouping: test.answers, by: \.request)
        #expect(answers.count + abandoned.count == total)
        for (request, group) in answers {
            #expect(group.count == sizes[request])
            #expect(group.allSatisfy { $0.outcome == group[0].outcome })
        }
        #expect(test.machine.unansweredBytes == 0)
    }

    @Test(arguments: 0..<200)
    func `Random bytes from the server never crash, and end the connection or wait for more`(seed: Int) throws {
        var random = SeededGenerator(state: UInt64(seed) &+ 1_000_000)
        var test = MachineUnderTest()
        for token in 0..<4 { test.machine.send(PostgresStatement("SELECT \(token)"), [], token: token) }
        let kinds = Array("RK23CdcGHDIEvnNAtS1ZTW?".unicodeScalars)
        for _ in 0..<50 {
            let kind = kinds.randomElement(using: &random) ?? "Z"
            let body = (0..<Int.random(in: 0..<12, using: &random)).map { _ in UInt8.random(in: 0...3, using: &random) }
            test.receive(ServerMessage.bytes(kind, body))
        }
        if test.machine.hasEnded { #expect(test.answers.count == 4) }
    }
}
