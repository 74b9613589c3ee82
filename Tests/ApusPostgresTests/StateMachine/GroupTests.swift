import ApusCore
import ApusData
import FoundationEssentials
import NIOCore
import Testing

@testable import ApusPostgres

/// Statements that are written together with one Sync.
struct GroupTests {
    private let statement = PostgresStatement("SELECT n FROM t WHERE id = $1")
    private let other = PostgresStatement("SELECT n FROM u WHERE id = $1")

    /// Sends a group of statements of one value each.
    private func send(
        _ test: inout MachineUnderTest, _ parts: [(PostgresStatement, SQLValue)], token: Int
    ) throws {
        test.machine.send(group: parts.map { ($0.0, [$0.1]) }, token: token)
    }

    @Test func `A group has one Sync, and prepares a statement once`() throws {
        var test = MachineUnderTest()
        try send(&test, [(statement, .integer(1)), (statement, .integer(2)), (other, .integer(3))], token: 1)
        #expect(test.sentKinds() == "PDBEBEPDBES")
        test.receive(Answer.prepared(parameters: [23]) + Answer.rows("1") + Answer.rows("2"))
        #expect(test.outcome(1) == nil)
        test.receive(Answer.prepared(parameters: [23]) + Answer.rows("3", "4") + ServerMessage.ready())
        #expect(
            test.answers.map(\.outcome) == [
                .rows([.integer(1)], affected: 0), .rows([.integer(2)], affected: 0),
                .rows([.integer(3), .integer(4)], affected: 0),
            ])
        #expect(test.machine.unansweredCount == 0 && test.machine.unansweredBytes == 0)
    }

    @Test func `If a statement fails, all of its group fail, and others do not`() throws {
        var test = MachineUnderTest()
        try send(&test, [(statement, .integer(1)), (statement, .integer(2)), (other, .integer(3))], token: 1)
        test.machine.send(statement, [.integer(4)], token: 2)
        _ = test.sent()
        test.receive(Answer.prepared(parameters: [23]) + Answer.rows("1"))
        test.receive(ServerMessage.bindComplete + ServerMessage.error("22012") + ServerMessage.ready())
        test.receive(Answer.rows("4") + ServerMessage.ready())
        #expect(test.answers.map(\.request) == [1, 1, 1, 2])
        #expect(test.answers.prefix(3).allSatisfy { $0.outcome == .failed(.invalidArgument) })
        #expect(test.outcome(2) == .rows([.integer(4)], affected: 0))
        // The server has skipped the third, so it is not prepared.
        try send(&test, [(other, .integer(3)), (statement, .integer(1))], token: 3)
        #expect(test.sentKinds() == "PDBEBES")
        #expect(test.machine.unansweredCount == 2)
    }

    @Test func `A group is repeated for each of its statements that a change of the schema has made invalid`() throws {
        var test = MachineUnderTest()
        try send(&test, [(statement, .integer(1)), (other, .integer(2))], token: 0)
        let prepared = Answer.prepared(parameters: [23])
        test.receive(prepared + Answer.rows("1") + prepared + Answer.rows("2") + ServerMessage.ready())
        _ = test.sent()
        try send(&test, [(statement, .integer(1)), (other, .integer(2))], token: 1)
        #expect(test.sentKinds() == "BEBES")
        test.receive(ServerMessage.error("0A000") + ServerMessage.ready())
        #expect(test.sentKinds() == "CPDBEBES")
        test.receive(
            ServerMessage.closeComplete + prepared + Answer.rows("1") + ServerMessage.error("0A000")
                + ServerMessage.ready())
        #expect(test.sentKinds() == "BECPDBES")
        test.receive(
            Answer.binaryRows(1) + ServerMessage.closeComplete + prepared + Answer.rows("2") + ServerMessage.ready())
        #expect(test.answers.filter { $0.request == 1 }.count == 2)
        #expect(test.answers.suffix(2).first?.outcome == .rows([.integer(1)], affected: 0))
        #expect(test.answers.last?.outcome == .rows([.integer(2)], affected: 0))
    }

    @Test func `Executions of one statement are one request, and are repeated together`() throws {
        var test = MachineUnderTest()
        let prepared = Answer.prepared(parameters: [23])
        try send(&test, [(statement, .integer(1)), (statement, .integer(2)), (statement, .integer(3))], token: 1)
        #expect(test.sentKinds() == "PDBEBEBES" && test.machine.unansweredCount == 1)
        test.receive(prepared + Answer.rows("1") + Answer.rows() + ServerMessage.bindComplete)
        test.receive(ServerMessage.complete("SELECT 0") + ServerMessage.ready())
        #expect(
            test.answers.map(\.outcome) == [
                .rows([.integer(1)], affected: 0), .rows([], affected: 0), .rows([], affected: 0),
            ])
        try send(&test, [(statement, .integer(4)), (statement, .integer(5))], token: 2)
        #expect(test.sentKinds() == "BEBES")
        test.receive(ServerMessage.error("0A000") + ServerMessage.ready())
        #expect(test.sentKinds() == "CPDBEBES")
        test.receive(
            ServerMessage.closeComplete + prepared + Answer.rows("4", "5") + Answer.rows("6") + ServerMessage.ready())
        #expect(
            test.answers.suffix(2).map(\.outcome) == [
                .rows([.integer(4), .integer(5)], affected: 0), .rows([.integer(6)], affected: 0),
            ])
        #expect(test.machine.unansweredCount == 0 && test.machine.unansweredBytes == 0)
    }

    @Test(arguments: ["described again", "not bound", "too few"])
    func `An answer that does not belong between executions ends the connection`(violation: String) throws {
        var test = MachineUnderTest()
        try send(&test, [(statement, .integer(1)), (statement, .integer(2))], token: 1)
        test.receive(Answer.prepared(parameters: [23]) + Answer.rows("1"))
        switch violation {
        case "described again": test.receive(Answer.columns)
        case "not bound": test.receive(ServerMessage.row([[49]]))
        default: test.receive(ServerMessage.ready())
        }
        #expect(test.failure?.code == .unavailable)
        #expect(test.outcome(1) == .failedByConnection(.unavailable))
    }

    @Test func `A group whose statement is invalid twice fails`() throws {
        var test = MachineUnderTest()
        try send(&test, [(statement, .integer(1)), (other, .integer(2))], token: 0)
        let prepared = Answer.prepared(parameters: [23])
        test.receive(prepared + Answer.rows("1") + prepared + Answer.rows("2") + ServerMessage.ready())
        try send(&test, [(statement, .integer(1)), (other, .integer(2))], token: 1)
        test.receive(ServerMessage.error("0A000") + ServerMessage.ready())
        test.receive(ServerMessage.closeComplete + ServerMessage.error("0A000") + ServerMessage.ready())
        #expect(test.outcome(1) == .failed(.internal))
        #expect(test.machine.unansweredCount == 0)
    }

    @Test func `A value that cannot be represented is not lost when its statement does not end the group`() throws {
        var test = MachineUnderTest()
        try send(&test, [(statement, .integer(1)), (other, .integer(2))], token: 1)
        test.receive(
            ServerMessage.parseComplete + ServerMessage.parameters([23]) + ServerMessage.columns([("at", 1184)])
                + Answer.rows("infinity") + Answer.prepared(parameters: [23]) + Answer.rows("2")
                + ServerMessage.ready())
        #expect(test.outcome(1) == .failed(.internal))
    }

    @Test func `A group whose task is gone is answered to nobody`() throws {
        var test = MachineUnderTest()
        try send(&test, [(statement, .integer(1)), (statement, .integer(2)), (statement, .integer(3))], token: 1)
        test.receive(Answer.prepared(parameters: [23]) + Answer.rows("1") + ServerMessage.bindComplete)
        #expect(test.machine.isHead { $0 == 1 })
        test.machine.abandon { $0 == 1 }
        test.receive(ServerMessage.error("57014") + ServerMessage.ready())
        #expect(test.answers.isEmpty && test.failure == nil && test.machine.unansweredCount == 0)
    }

    @Test func `The first statement of a transaction can be cancelled while BEGIN is being answered`() throws {
        var test = MachineUnderTest()
        test.machine.sendFirst(PostgresStatement("BEGIN"))
        test.machine.send(statement, [.integer(1)], token: 1)
        #expect(test.machine.isHead { $0 == 1 })
        test.receive(ServerMessage.parseComplete)
        #expect(test.machine.isHead { $0 == 1 })
        test.receive(ServerMessage.bindComplete + ServerMessage.complete("BEGIN"))
        #expect(test.machine.isHead { $0 == 1 })
    }

    @Test func `Values are written in the types that the first of the group has declared`() throws {
        var test = MachineUnderTest()
        // The server infers the type of a null. The date behind it cannot be binary: the type may be `date`.
        try send(&test, [(statement, .null), (statement, .timestamp(.init(timeIntervalSince1970: 0)))], token: 1)
        let sent = test.sent()
        #expect(String(sent.map(\.kind)) == "PDBEBES")
        #expect(sent[0].body.suffix(6).elementsEqual([0, 1, 0, 0, 0, 0]))
        #expect(String(decoding: sent[4].body, as: UTF8.self).contains("1970-01-01 00:00:00.000000+00"))
    }

    @Test func `A later group does not rely on what the server may skip`() throws {
        var test = MachineUnderTest()
        try send(&test, [(statement, .integer(1)), (other, .integer(2)), (other, .integer(3))], token: 1)
        #expect(test.sentKinds() == "PDBEPDBEBES")
        // If the first statement fails, the second is not prepared. An older one of its name may be there instead.
        test.machine.send(other, [.integer(4)], token: 2)
        #expect(test.sentKinds() == "CPDBES")
        test.machine.send(statement, [.integer(5)], token: 3)
        #expect(test.sentKinds() == "BES")
        let prepared = Answer.prepared(parameters: [23])
        test.receive(prepared + Answer.rows("1") + prepared)
        test.machine.send(other, [.integer(6)], token: 4)
        #expect(test.sentKinds() == "BES")
    }

    @Test func `A statement that was to be closed by a request that the server has skipped is closed later`() throws {
        var test = MachineUnderTest(capacity: 1)
        let third = PostgresStatement("SELECT n FROM v WHERE id = $1")
        let prepared = Answer.prepared(parameters: [23])
        test.machine.send(statement, [.integer(1)], token: 0)
        test.receive(prepared + Answer.rows("1") + ServerMessage.ready())
        _ = test.sent()
        test.machine.sendFirst(PostgresStatement("BEGIN"))
        test.machine.send(other, [.integer(1)], token: 1)
        #expect(test.sentKinds() == "PBECPDBES")
        test.receive(ServerMessage.error("57014") + ServerMessage.ready())
        test.machine.send(third, [.integer(1)], token: 2)
        let sent = test.sent()
        #expect(String(sent.map(\.kind)) == "CPDBES")
        #expect(sent[0].body == [UInt8(ascii: "S")] + Array(statement.name.utf8) + [0])
    }
}
