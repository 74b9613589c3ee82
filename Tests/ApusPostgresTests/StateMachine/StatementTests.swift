import ApusCore
import ApusData
import Testing

@testable import ApusPostgres

struct StatementTests {
    private let statement = PostgresStatement("SELECT n FROM t WHERE id = $1")

    @Test func `The first execution prepares, describes, binds and executes in one group`() throws {
        var test = MachineUnderTest()
        test.machine.send(statement, [.integer(5)], token: 1)
        let sent = test.sent()
        #expect(String(sent.map(\.kind)) == "PDBES")
        #expect(sent[0].firstString == statement.name && sent[0].secondString == statement.sql)
        // The value is text, because the type of the parameter is not known.
        #expect(
            sent[2].body.dropFirst(statement.name.utf8.count + 2).elementsEqual([
                0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 53, 0, 0,
            ]))
        test.receive(Answer.prepared(parameters: [23]) + Answer.rows("7") + ServerMessage.ready())
        #expect(test.outcome(1) == .rows([.integer(7)], affected: 0))
    }

    @Test func `Later executions are binary and do not prepare`() throws {
        var test = MachineUnderTest()
        test.machine.send(statement, [.integer(5)], token: 1)
        test.receive(Answer.prepared(parameters: [23]) + Answer.rows("7") + ServerMessage.ready())
        _ = test.sent()
        test.machine.send(statement, [.integer(5)], token: 2)
        let sent = test.sent()
        #expect(String(sent.map(\.kind)) == "BES")
        #expect(
            sent[0].body.dropFirst(statement.name.utf8.count + 2)
                .elementsEqual([0, 1, 0, 1, 0, 1, 0, 0, 0, 4, 0, 0, 0, 5, 0, 1, 0, 1]))
        test.receive(Answer.binaryRows(7, 8) + ServerMessage.ready())
        #expect(test.outcome(2) == .rows([.integer(7), .integer(8)], affected: 0))
    }

    @Test func `What one connection has learnt is declared on another`() throws {
        var first = MachineUnderTest()
        first.machine.send(statement, [.integer(5)], token: 1)
        first.receive(Answer.prepared(parameters: [23]) + Answer.rows("7") + ServerMessage.ready())
        var second = MachineUnderTest()
        second.machine.send(statement, [.integer(5)], token: 2)
        let sent = second.sent()
        #expect(String(sent.map(\.kind)) == "PDBES")
        #expect(sent[0].body.suffix(6).elementsEqual([0, 1, 0, 0, 0, 23]))
        second.receive(Answer.prepared(parameters: [23]) + Answer.binaryRows(9) + ServerMessage.ready())
        #expect(second.outcome(2) == .rows([.integer(9)], affected: 0))
    }

    @Test func `Requests that were written together are answered in their order`() throws {
        var test = MachineUnderTest()
        for token in 1...3 { test.machine.send(statement, [.integer(Int64(token))], token: token) }
        // Only the first prepares; the others are written behind it.
        #expect(test.sentKinds() == "PDBESBESBES")
        test.receive(Answer.prepared(parameters: [23]) + Answer.rows("1") + ServerMessage.ready())
        test.receive(Answer.rows("2") + ServerMessage.ready())
        test.receive(Answer.rows("3") + ServerMessage.ready())
        #expect(test.answers.map(\.request) == [1, 2, 3])
        for token in 1...3 { #expect(test.outcome(token) == .rows([.integer(Int64(token))], affected: 0)) }
        #expect(test.machine.unansweredCount == 0 && test.machine.unansweredBytes == 0)
    }

    @Test func `An error concerns only its own request`() throws {
        var test = MachineUnderTest()
        test.machine.send(statement, [.integer(1)], token: 1)
        test.machine.send(statement, [.integer(2)], token: 2)
        test.receive(Answer.prepared(parameters: [23]) + ServerMessage.error("22012") + ServerMessage.ready())
        test.receive(Answer.rows("2") + ServerMessage.ready())
        #expect(test.outcome(1) == .failed(.invalidArgument))
        #expect(test.outcome(2) == .rows([.integer(2)], affected: 0))
    }

    @Test func `A statement that could not be prepared is prepared again, also by those written behind it`() throws {
        var test = MachineUnderTest()
        test.machine.send(statement, [.integer(1)], token: 1)
        test.machine.send(statement, [.integer(2)], token: 2)
        _ = test.sent()
        test.receive(ServerMessage.error("42P01") + ServerMessage.ready())
        #expect(test.outcome(1) == .failed(.internal))
        // The second was to use what the first should have prepared.
        test.receive(ServerMessage.error("26000") + ServerMessage.ready())
        #expect(test.outcome(2) == nil)
        #expect(test.sentKinds() == "CPDBES")
        test.receive(
            ServerMessage.closeComplete + Answer.prepared(parameters: [23]) + Answer.rows("2") + ServerMessage.ready())
        #expect(test.outcome(2) == .rows([.integer(2)], affected: 0))
    }

    private func preparedMachine() throws -> MachineUnderTest {
        var test = MachineUnderTest()
        test.machine.send(statement, [.integer(1)], token: 0)
        test.receive(Answer.prepared(parameters: [23]) + Answer.rows("1") + ServerMessage.ready())
        _ = test.sent()
        return test
    }

    @Test(arguments: ["0A000", "26000"])
    func `A statement that a change of the schema has made invalid is prepared again once`(sqlState: String) throws {
        var test = try preparedMachine()
        test.machine.send(statement, [.integer(1)], token: 1)
        test.machine.send(statement, [.integer(2)], token: 2)
        _ = test.sent()
        test.receive(ServerMessage.error(sqlState) + ServerMessage.ready())
        // Closed by message, never by SQL: a pooler would not see that.
        let sent = test.sent()
        #expect(String(sent.map(\.kind)) == "CPDBES")
        #expect(sent[0].body == [UInt8(ascii: "S")] + Array(statement.name.utf8) + [0])
        test.receive(ServerMessage.error(sqlState) + ServerMessage.ready())
        #expect(test.sentKinds() == "BES")
        test.receive(
            ServerMessage.closeComplete + Answer.prepared(parameters: [20]) + Answer.rows("1") + ServerMessage.ready())
        test.receive(Answer.rows("2") + ServerMessage.ready())
        #expect(test.outcome(1) == .rows([.integer(1)], affected: 0))
        #expect(test.outcome(2) == .rows([.integer(2)], affected: 0))
        test.machine.send(statement, [.integer(3)], token: 3)
        #expect(test.sentKinds() == "BES")
    }

    @Test func `The second failure is the answer`() throws {
        var test = try preparedMachine()
        test.machine.send(statement, [.integer(1)], token: 1)
        test.receive(ServerMessage.error("0A000") + ServerMessage.ready())
        test.receive(ServerMessage.closeComplete + ServerMessage.error("0A000") + ServerMessage.ready())
        #expect(test.outcome(1) == .failed(.internal))
    }

    @Test func `Inside a transaction the statement is forgotten, and the transaction must be repeated`() throws {
        var test = try preparedMachine()
        test.machine.send(statement, [.integer(1)], token: 1)
        _ = test.sent()
        test.receive(ServerMessage.error("0A000") + ServerMessage.ready(.failed))
        #expect(test.outcome(1) == .failed(.aborted))
        test.machine.send(statement, [.integer(1)], token: 2)
        #expect(test.sentKinds() == "CPDBES")
    }

    @Test func `A name that exists behind a pooler is closed and prepared again`() throws {
        var test = MachineUnderTest()
        test.machine.send(statement, [.integer(1)], token: 1)
        _ = test.sent()
        test.receive(ServerMessage.error("42P05") + ServerMessage.ready())
        #expect(test.sentKinds() == "CPDBES")
        test.receive(
            ServerMessage.closeComplete + Answer.prepared(parameters: [23]) + Answer.rows("1") + ServerMessage.ready())
        #expect(test.outcome(1) == .rows([.integer(1)], affected: 0))
    }

    @Test func `A real failure of a feature is not repeated`() throws {
        var test = MachineUnderTest()
        test.machine.send(statement, [.integer(1)], token: 1)
        _ = test.sent()
        test.receive(ServerMessage.error("0A000") + ServerMessage.ready())
        #expect(test.outcome(1) == .failed(.internal))
        #expect(test.sentKinds() == "")
    }

    @Test func `Numbers are declared where the server cannot infer their types`() throws {
        var test = MachineUnderTest()
        let sum = PostgresStatement("SELECT $1 + $2")
        test.machine.send(sum, [.integer(1), .real(2)], token: 1)
        _ = test.sent()
        test.receive(ServerMessage.error("42725") + ServerMessage.ready())
        let sent = test.sent()
        #expect(String(sent.map(\.kind)) == "CPDBES")
        #expect(sent[1].body.suffix(10).elementsEqual([0, 2, 0, 0, 0, 20, 0, 0, 2, 189]))
    }

    @Test func `Without prepared statements each execution is unnamed and in one group`() throws {
        var test = MachineUnderTest(preparesStatements: false)
        for token in 1...2 {
            test.machine.send(statement, [.integer(1)], token: token)
            let sent = test.sent()
            #expect(String(sent.map(\.kind)) == "PDBES")
            #expect(sent[0].firstString.isEmpty)
            let rows = token == 1 ? Answer.rows("1") : Answer.binaryRows(1)
            test.receive(Answer.prepared(parameters: [23]) + rows + ServerMessage.ready())
            #expect(test.outcome(token) == .rows([.integer(1)], affected: 0))
        }
    }

    @Test func `Statements beyond the limit are closed by message, the least used first`() throws {
        var test = MachineUnderTest(capacity: 2)
        let statements = ["SELECT 1", "SELECT 2", "SELECT 3"].map(PostgresStatement.init)
        for index in [0, 1, 0] {
            test.machine.send(statements[index], [], token: index)
            let isFirst = test.sentKinds() == "PDBES"
            test.receive(
                (isFirst ? Answer.prepared() + Answer.rows("1") : Answer.binaryRows(1)) + ServerMessage.ready())
        }
        test.machine.send(statements[2], [], token: 9)
        let sent = test.sent()
        #expect(String(sent.map(\.kind)) == "CPDBES")
        #expect(sent[0].body == [UInt8(ascii: "S")] + Array(statements[1].name.utf8) + [0])
        test.receive(ServerMessage.closeComplete + Answer.prepared() + Answer.rows("3") + ServerMessage.ready())
        #expect(test.outcome(9) == .rows([.integer(3)], affected: 0))
    }

    @Test func `A column that was added to a table does not end a connection that knows the table from another`() throws
    {
        _ = try preparedMachine()
        var test = MachineUnderTest()
        test.machine.send(statement, [.integer(1)], token: 1)
        // One format is sent for all columns, however many there are by now.
        test.receive(
            ServerMessage.parseComplete + ServerMessage.parameters([23])
                + ServerMessage.columns([("n", 23), ("m", 20), ("x", 1700)]) + ServerMessage.bindComplete
                + ServerMessage.row([ServerMessage.integer(Int32(7)), ServerMessage.integer(Int64(8)), nil])
                + ServerMessage.complete("SELECT 1") + ServerMessage.ready())
        #expect(test.failure == nil)
        #expect(test.outcome(1) == .rows([.integer(7)], affected: 0))
    }

    @Test func `A column that was added to a result without columns is read as text`() throws {
        let empty = PostgresStatement("SELECT * FROM e")
        var first = MachineUnderTest()
        first.machine.send(empty, [], token: 1)
        first.receive(
            ServerMessage.parseComplete + ServerMessage.parameters([]) + ServerMessage.columns([])
                + ServerMessage.bindComplete + ServerMessage.row([]) + ServerMessage.complete("SELECT 1")
                + ServerMessage.ready())
        #expect(first.outcome(1) == .rows([.null], affected: 0))
        var second = MachineUnderTest()
        second.machine.send(empty, [], token: 2)
        second.receive(Answer.prepared() + Answer.rows("7") + ServerMessage.ready())
        #expect(second.outcome(2) == .rows([.integer(7)], affected: 0))
    }

    @Test func `A statement that the event loop has forgotten and met again replaces itself on the server`() throws {
        var test = try preparedMachine()
        let again = PostgresStatement(statement.sql)
        test.machine.send(again, [.integer(1)], token: 1)
        // Otherwise the server would say that the name exists, which fails a transaction.
        #expect(test.sentKinds() == "CPDBES")
        test.receive(
            ServerMessage.closeComplete + Answer.prepared(parameters: [23]) + Answer.rows("1") + ServerMessage.ready())
        #expect(test.machine.prepared.count == 1)
        test.machine.send(again, [.integer(1)], token: 2)
        #expect(test.sentKinds() == "BES")
    }

    @Test func `A number that the known type cannot hold makes the server infer the type again`() throws {
        var test = try preparedMachine()
        // The column was an int4 and has become an int8. The server would go on to refuse the number.
        test.machine.send(statement, [.integer(1 << 40)], token: 1)
        let sent = test.sent()
        #expect(String(sent.map(\.kind)) == "CPDBES")
        #expect(sent[1].body.suffix(6).elementsEqual([0, 1, 0, 0, 0, 0]))
        test.receive(
            ServerMessage.closeComplete + Answer.prepared(parameters: [20]) + Answer.rows("7") + ServerMessage.ready())
        #expect(test.outcome(1) == .rows([.integer(7)], affected: 0))
        test.machine.send(statement, [.integer(1 << 40)], token: 2)
        #expect(test.sentKinds() == "BES")
    }

    @Test func `The answer of a task that is gone is dropped, and the slot is kept`() throws {
        var test = try preparedMachine()
        for token in 1...3 { test.machine.send(statement, [.integer(1)], token: token) }
        #expect(test.machine.isHead { $0 == 1 } && !test.machine.isHead { $0 == 2 })
        test.machine.abandon { $0 == 1 }
        test.machine.abandon { $0 == 2 }
        for number in 1...3 { test.receive(Answer.binaryRows(Int32(number)) + ServerMessage.ready()) }
        #expect(test.answers.map(\.request) == [0, 3])
        #expect(test.outcome(3) == .rows([.integer(3)], affected: 0))
    }

    @Test func `A statement that the cancellation of another one has hit is repeated`() throws {
        var test = try preparedMachine()
        for token in 1...2 { test.machine.send(statement, [.integer(1)], token: token) }
        _ = test.sent()
        test.machine.abandon { $0 == 1 }
        test.machine.isCancelling = true
        test.receive(Answer.binaryRows(1) + ServerMessage.ready())
        test.receive(ServerMessage.bindComplete + ServerMessage.error("57014") + ServerMessage.ready())
        #expect(test.outcome(2) == nil)
        #expect(test.sentKinds() == "BES")
        test.receive(Answer.binaryRows(2) + ServerMessage.ready())
        #expect(test.outcome(2) == .rows([.integer(2)], affected: 0))
    }

    @Test func `A column that cannot be represented fails its statement only`() throws {
        var test = MachineUnderTest()
        let infinite = PostgresStatement("SELECT 'infinity'::timestamptz")
        test.machine.send(infinite, [], token: 1)
        test.machine.send(statement, [.integer(1)], token: 2)
        test.receive(
            ServerMessage.parseComplete + ServerMessage.parameters([]) + ServerMessage.columns([("at", 1184)])
                + Answer.rows("infinity") + ServerMessage.ready())
        test.receive(Answer.prepared(parameters: [23]) + Answer.rows("2") + ServerMessage.ready())
        #expect(test.outcome(1) == .failed(.internal))
        #expect(test.outcome(2) == .rows([.integer(2)], affected: 0))
    }

    @Test(arguments: [
        ("INSERT 0 5", 5), ("UPDATE 3", 3), ("DELETE 0", 0), ("MERGE 2", 2), ("COPY 7", 7), ("SELECT 9", 0),
        ("FETCH 9", 0), ("CREATE TABLE", 0), ("", 0),
    ])
    func `Changed rows are counted, rows that were only read are not`(tag: String, count: Int) throws {
        var test = MachineUnderTest()
        test.machine.send(PostgresStatement("X"), [], token: 1)
        test.receive(
            ServerMessage.parseComplete + ServerMessage.parameters([]) + ServerMessage.noData
                + ServerMessage.bindComplete
                + ServerMessage.complete(tag) + ServerMessage.ready())
        #expect(test.outcome(1) == .rows([], affected: count))
    }
}
